import assert from "node:assert/strict";
import { test } from "node:test";
import type { Configuration } from "../config/schema.ts";
import { checkHost } from "./host.ts";

const codes = (host: Partial<Configuration["host"]>, programs: string[], mode = "auto", forward = "1") =>
  checkHost(
    {
      host: { loop: false, identityNat: false, loopName: "hf", rpFilter: "tell", ...host },
      dataPlane: { mode },
    } as Configuration,
    { names: () => programs, read: () => `${forward}\n` },
  ).map(({ detail }) => detail.split(":")[0]);

test("a host that is to be prepared has the programs, BPF and forwarding", () => {
  assert.deepEqual(codes({}, []), [], "nothing is asked for");
  assert.deepEqual(codes({ loop: true, identityNat: true }, ["ip", "nft"]), []);
  assert.deepEqual(codes({ loop: true, identityNat: true }, []), ["HOST_IP_FAILED", "HOST_NFT_FAILED"]);
  assert.deepEqual(codes({ identityNat: true }, ["nft"]), []);
  assert.deepEqual(codes({ loop: true }, ["ip"], "userspace"), ["HOST_LOOP_NEEDS_BPF"]);
  assert.deepEqual(codes({ loop: true }, ["ip"], "auto", "0"), ["HOST_NOT_FORWARDING"]);
});

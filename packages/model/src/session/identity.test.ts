import assert from "node:assert/strict";
import { test } from "node:test";
import { v5 } from "uuid";
import type { Address } from "../address.ts";
import { isSessionId, sessionIdFromBytes, sessionIdOf, sessionIdToBytes } from "./identity.ts";

const NAMESPACE = "4b1d0c6e-6a55-5f0e-9d56-3f6c1f1f5a10";

test("an id is the uuid v5 of service, client port, tag and the smallest address", () => {
  const addresses: readonly Address[] = ["10.0.0.9", "10.0.0.10", "2001:db8::1"];
  for (const service of ["sctp/203.0.113.1:38412", "sctp/[2001:db8::5]:3868", `${"x".repeat(900)}é`]) {
    const id = sessionIdOf(service, 5_000, 0xdead_beef, "10.0.0.9", addresses);
    assert.equal(id, v5(`${service}|5000|${0xdead_beef}|10.0.0.10`, NAMESPACE));
    assert.ok(isSessionId(id));
    assert.equal(sessionIdFromBytes(sessionIdToBytes(id)), id);
  }
});

// What a prefix has of the INITs that reach the slow path: of those that come first, and of those that come again.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { encodeInit } from "@holdfast/sctp";
import { labHarness, labObstacle } from "../compliance/lab.ts";
import { recordPunts, total, until } from "../compliance/rig.ts";
import { arriving, ENDPOINTS, IPV4, LOCAL, upFlow } from "../compliance/world.ts";
import { openBpfFastPath } from "./bpf-fast-path.ts";

/** An INIT costs eight of these: two at once, and then one in many years. */
const PREFIX = { perSecond: 1e-6, burst: 9 };
const INIT_COUNT = 20;

const TITLE =
  "INITs beyond a prefix's share get in when they come again, and of those a prefix has a share, too";

test(TITLE, { skip: labObstacle() ?? false }, async () => {
  const harness = labHarness((interfaces) =>
    openBpfFastPath({
      mode: "tc",
      interfaces,
      flowCountMax: 4_096,
      ringBytes: 1 << 18,
      puntBudgets: { PREFIX },
    }),
  );
  const rig = await harness.open({});
  const { fastPath } = rig;
  try {
    fastPath.setLocal(LOCAL);
    fastPath.setEndpoints(ENDPOINTS);
    fastPath.signOfLife();
    const up = upFlow(IPV4);
    const send = (source: Address, count: number) => {
      for (let i = 0; i < count; i++) {
        const key = { ...up.key, source, sourcePort: 1 + i };
        rig.inject("client", arriving({ ...up, key }, [encodeInit({ initiateTag: 1 + i })], { tag: 0 }));
      }
    };
    send(up.key.source, INIT_COUNT);
    await until("the share of the prefix", () => total(fastPath, "drop.punt-rate") === INIT_COUNT - 2);
    assert.equal(total(fastPath, "punt.init"), 2);
    const punts = recordPunts(fastPath);
    fastPath.start();
    await until("those of the share", () => punts.length === 2);
    // As clients repeat theirs: after a while, which is not over at the first tries.
    await until("two that came again", () => {
      send(up.key.source, INIT_COUNT);
      return punts.filter(({ again }) => again === true).length === 2;
    });
    assert.equal(punts.length, 4);
    send("10.77.0.1", 1);
    await until("the other prefix", () => punts.length === 5);
  } finally {
    await rig.close();
  }
});

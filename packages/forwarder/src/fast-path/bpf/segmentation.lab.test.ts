// Super-packets of a local stack's segmentation offload. No wire makes them without SCTP in the kernel, and virtio's
// header has no word for them: the program runs on one without a wire.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeData } from "@holdfast/sctp";
import { labObstacle } from "../compliance/lab.ts";
import { hex } from "../compliance/rig.ts";
import { arriving, downFlow, FAMILIES, LOCAL, leaving } from "../compliance/world.ts";
import { TestRunner } from "./test-run.ts";

const MTU = 1_280;
const SEGMENT_COUNT = 3;

const obstacle = labObstacle();
for (const family of FAMILIES) {
  test(
    `${family.name}: a super-packet passes whole, for its parts fit; a packet of that size is too big`,
    obstacle === undefined ? {} : { skip: obstacle },
    () => {
      const runner = new TestRunner({ flowCountMax: 16, mtu: MTU });
      try {
        runner.local.setLocal(LOCAL);
        const flow = downFlow(family);
        assert.ok(runner.flows.install(flow));
        const chunks = Array.from({ length: SEGMENT_COUNT }, (_, i) =>
          encodeData({ tsn: i, data: new Uint8Array(900).fill(i) }),
        );
        const packet = arriving(flow, chunks);
        assert.ok(packet.length > 2 * MTU);
        const whole = runner.run("tc", packet, SEGMENT_COUNT);
        assert.equal(whole.action, "redirect");
        assert.equal(hex(whole.packet), hex(leaving(flow, chunks)));
        const { action, punts } = runner.run("tc", packet);
        assert.equal(action, "drop");
        assert.deepEqual(
          punts.map(({ reason, mtu }) => [reason, mtu]),
          [["tooBig", MTU]],
        );
        // One segment is no super-packet.
        assert.equal(runner.run("tc", packet, 1).punts[0]?.reason, "tooBig");
      } finally {
        runner.close();
      }
    },
  );
}

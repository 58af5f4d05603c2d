// Super-packets of a local stack's segmentation offload, or of what a device put together. No wire makes those of
// SCTP without it in the kernel, and virtio's header has no word for them: the program runs on one without a wire.
import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeData, PROTOCOL } from "@holdfast/sctp";
import { labObstacle } from "../compliance/lab.ts";
import { plainDown, plainPackets } from "../compliance/plain-world.ts";
import { hex } from "../compliance/rig.ts";
import { SharedPlanes } from "../compliance/shared-planes.ts";
import { arriving, downFlow, FAMILIES, LOCAL, leaving } from "../compliance/world.ts";
import { TestRunner } from "./test-run.ts";

const MTU = 1_280;
const SEGMENT_COUNT = 3;

const { load } = new SharedPlanes();
const obstacle = labObstacle();
for (const family of FAMILIES) {
  test(
    `${family.name}: a super-packet passes whole, for its parts fit; a packet of that size is too big`,
    obstacle === undefined ? {} : { skip: obstacle },
    () => {
      const runner = new TestRunner({ flowCountMax: 16, mtu: MTU, load });
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

for (const family of FAMILIES)
  for (const [name, protocol, overhead] of [
    ["TCP", PROTOCOL.TCP, 20],
    ["UDP", PROTOCOL.UDP, 8],
  ] as const)
    test(
      `${family.name} ${name}: a super-packet passes whole where its parts fit, and is too big where they do not`,
      obstacle === undefined ? {} : { skip: obstacle },
      () => {
        const runner = new TestRunner({ flowCountMax: 16, mtu: MTU, load });
        try {
          runner.local.setLocal(LOCAL);
          const flow = plainDown(family, protocol);
          assert.ok(runner.plain.install(flow));
          const { arriving: packet, leaving: expected } = plainPackets(flow, {
            payload: new Uint8Array(2_700),
          });
          const headers = (family.name === "IPv4" ? 20 : 40) + overhead;
          const whole = runner.run("tc", packet, SEGMENT_COUNT, MTU - headers);
          assert.equal(whole.action, "redirect");
          assert.equal(hex(whole.packet), hex(expected));
          const tooLong = MTU - headers + 1;
          for (const [punts, size] of [
            [runner.run("tc", packet, SEGMENT_COUNT, tooLong).punts, tooLong],
            [runner.run("tc", packet).punts, undefined],
          ] as const)
            assert.deepEqual(
              punts.map(({ reason, mtu, segmentSize }) => [reason, mtu, segmentSize]),
              [["tooBig", MTU, size]],
            );
        } finally {
          runner.close();
        }
      },
    );

import assert from "node:assert/strict";
import { test } from "node:test";
import { HoldfastError } from "@holdfast/model";
import { encodeData, encodeInit, IpHeader, verifyChecksum } from "@holdfast/sctp";
import { labHarness, labObstacle, makeLinks } from "../compliance/lab.ts";
import { hex, recordPunts, until } from "../compliance/rig.ts";
import { arriving, downFlow, FAMILIES, IPV4, LOCAL, leaving, upFlow } from "../compliance/world.ts";
import { describeFastPath } from "../compliance.ts";
import { openUserspaceFastPath } from "./userspace-fast-path.ts";

const obstacle = labObstacle();
if (obstacle !== undefined) {
  test("userspace fast path", { skip: obstacle }, () => {});
} else {
  const harness = labHarness((interfaces, { flowCountMax }) =>
    openUserspaceFastPath({ interfaces, ...(flowCountMax === undefined ? {} : { flowCountMax }) }),
  );
  describeFastPath("userspace", harness);

  for (const family of FAMILIES) {
    test(`${family.name}: a checksum that a local stack left out is there when the packet leaves`, async () => {
      const rig = await harness.open({});
      try {
        const punts = recordPunts(rig.fastPath);
        rig.fastPath.setLocal(LOCAL);
        rig.fastPath.start();
        // With a port to change and without.
        const flows = [
          downFlow(family),
          downFlow(family, { newSourcePort: 7_000, newDestinationPort: 40_001 }),
        ];
        const chunks = [encodeData({ tsn: 1, data: new Uint8Array(33) })];
        for (const [i, flow] of flows.entries()) {
          rig.fastPath.install(flow);
          rig.link?.injectPartial("core", unchecked(arriving(flow, chunks)));
          await until("the packet", () => rig.received("client").length > i);
          assert.equal(hex(rig.received("client")[i]), hex(leaving(flow, chunks)));
        }
        const init = unchecked(arriving(upFlow(family), [encodeInit({ initiateTag: 1 })], { tag: 0 }));
        rig.link?.injectPartial("client", init);
        await until("the punt", () => punts.length === 1);
        assert.equal(punts[0]?.checksumPartial, true);
      } finally {
        await rig.close();
      }
    });
  }

  test("a wrong IPv4 header checksum is not blessed", async () => {
    const rig = await harness.open({});
    try {
      rig.fastPath.setLocal(LOCAL);
      const flow = upFlow(IPV4);
      rig.fastPath.install(flow);
      const packet = arriving(flow, [encodeData({ tsn: 1, data: new Uint8Array(9) })]);
      packet[11] = (packet[11] as number) ^ 1;
      rig.inject("client", packet);
      await until("the drop", () => rig.fastPath.totals().get("drop.ip-checksum") === 1);
      assert.equal(rig.received("core").length, 0);
    } finally {
      await rig.close();
    }
  });

  test("an interface that does not exist is named", async () => {
    makeLinks();
    await assert.rejects(
      openUserspaceFastPath({ interfaces: ["hfclient", "nosuch0"] }),
      (error) => error instanceof HoldfastError && error.code === "USERSPACE_SOCKET_FAILED",
    );
  });

  test("five thousand packets in a burst arrive in order, whatever the blocks and turns", async () => {
    const rig = await harness.open({});
    try {
      rig.fastPath.setLocal(LOCAL);
      const flow = upFlow(IPV4);
      rig.fastPath.install(flow);
      const header = new IpHeader();
      const count = 5_000;
      const packets = Array.from({ length: count }, (_, i) =>
        arriving(flow, [encodeData({ tsn: i, data: new Uint8Array(1 + (i % 1_000)) })], {
          identification: i,
        }),
      );
      for (const packet of packets) rig.inject("client", packet);
      await until("all of them", () => rig.received("core").length === count);
      rig.received("core").forEach((packet, i) => {
        header.read(packet);
        if (header.identification !== i || !verifyChecksum(packet, header.payloadOffset, header.end)) {
          assert.fail(`packet ${i} is ${header.identification}`);
        }
      });
    } finally {
      await rig.close();
    }
  });
}

/** With the checksum as CHECKSUM_PARTIAL leaves it. */
function unchecked(packet: Uint8Array): Uint8Array {
  const header = new IpHeader();
  header.read(packet);
  packet.fill(0, header.payloadOffset + 8, header.payloadOffset + 12);
  return packet;
}

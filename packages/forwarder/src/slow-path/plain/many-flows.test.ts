// What is done without a packet goes round all flows, some in each turn. With very many a round takes long, and
// nobody may lose by that.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isPlainEnded, PROTOCOL_TCP, PROTOCOL_UDP, serviceIdOf } from "@holdfast/model";
import {
  ACK,
  CLIENT,
  Connection,
  type Ends,
  PlainCluster,
  PORT,
  plainService,
  type Segment,
  udpPacket,
  VIP,
} from "../../testing/plain.ts";

const ends: Ends = { source: CLIENT, sourcePort: 50_000, destination: VIP, destinationPort: PORT };
const NO_QUOTAS = {
  ...{ embryoCountMax: 1e6, embryoCountMaxPerService: 1e6, embryoCountMaxPerPrefix: 1e6 },
};

function back({ source, sourcePort, destination, destinationPort }: Segment): Ends {
  return {
    ...{ source: destination, sourcePort: destinationPort },
    ...{ destination: source, destinationPort: sourcePort },
  };
}

describe("rounds that take long", () => {
  test("a connection, and an exchange that goes on, are told to the others when they are old enough", async () => {
    // A round takes twenty seconds.
    const limits = { visitCountMaxPerTurn: 1 };
    const services = [plainService(PROTOCOL_TCP), plainService(PROTOCOL_UDP)];
    const cluster = new PlainCluster(2, { services, limits });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    for (let port = 40_000; port < 40_200; port++) await new Connection({ sourcePort: port }).open(owner);
    cluster.clock.advance(60_000);
    assert.equal(other.records().length, 200);
    const young = new Connection({ sourcePort: 50_000 });
    await young.open(owner);
    const asked = await owner.one(udpPacket(ends, "1"));
    for (let i = 0; i < 20; i++) {
      cluster.clock.advance(100);
      await owner.one(young.up(ACK, "more"));
      await owner.one(udpPacket(ends, "more"));
      await owner.one(udpPacket(back(asked), "answer"));
    }
    cluster.clock.advance(500);
    const told = other.records().filter(({ clientPort }) => clientPort === 50_000);
    assert.deepEqual(new Set(told.map(({ protocol }) => protocol)), new Set([PROTOCOL_TCP, PROTOCOL_UDP]));
  });

  test("a flow that is in use is not taken for silent, here or at another member", async () => {
    const id = serviceIdOf(PROTOCOL_UDP, VIP, PORT + 1);
    const used = plainService(PROTOCOL_UDP, { idle: { oneShotS: 2 }, replicate: "always" });
    const services = [used, plainService(PROTOCOL_UDP, { id, port: PORT + 1 })];
    const cluster = new PlainCluster(2, { services, limits: NO_QUOTAS, memberNumberCount: 2 });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    // A sweep takes three seconds.
    for (let sourcePort = 2_000; sourcePort < 17_000; sourcePort++)
      await owner.one(udpPacket({ ...ends, sourcePort, destinationPort: PORT + 1 }, "?"));
    const first = await owner.one(udpPacket(ends, "0"));
    for (let i = 0; i < 100; i++) {
      cluster.clock.advance(100);
      const { sourcePort } = await owner.one(udpPacket(ends, "more"));
      assert.equal(sourcePort, first.sourcePort, `after ${i} more`);
    }
    for (const rig of [owner, other])
      assert.equal(rig.forwarder.counters().events.get("sessions-idle") ?? 0, 0);
    cluster.clock.advance(20_000);
    assert.deepEqual(other.phases(), ["closed"]);
    assert.ok(
      owner.records().some((record) => !isPlainEnded(record)),
      "the others are silent for less",
    );
  });
});

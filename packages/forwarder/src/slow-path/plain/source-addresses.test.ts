import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { encodeWith, isPlainEnded, PLAIN_SESSIONS, PROTOCOL_TCP, PROTOCOL_UDP } from "@holdfast/model";
import {
  ACK,
  CLIENT,
  Connection,
  type Ends,
  PlainCluster,
  PlainRig,
  PORT,
  plainService,
  RST,
  SERVER,
  type Segment,
  segmentOf,
  udpPacket,
  VIP,
} from "../../testing/plain.ts";

const FURTHER = "203.0.113.77";
const services = [
  plainService(PROTOCOL_TCP, { sourceAddresses: [FURTHER], replicate: "always" }),
  plainService(PROTOCOL_UDP, { sourceAddresses: [FURTHER] }),
];
/** 4,032 NAT ports an address. */
const PORT_COUNT = 4_032;
const from = (number: number): Ends => ({
  ...{ source: `100.80.${number >> 8}.${number & 255}`, sourcePort: 40_000 },
  ...{ destination: VIP, destinationPort: PORT },
});
const back = ({ source, sourcePort, destination, destinationPort }: Segment): Ends => ({
  ...{ source: destination, sourcePort: destinationPort },
  ...{ destination: source, destinationPort: sourcePort },
});
const gauge = (rig: PlainRig, name: string) => new Map(rig.forwarder.plain.gauges()).get(name);

/** A rig whose VIP has no NAT port left for UDP. */
async function full(options: Partial<ConstructorParameters<typeof PlainRig>[0]> = {}): Promise<PlainRig> {
  const rig = new PlainRig({ services, memberNumberCount: 16, ...options });
  for (let number = 0; number < PORT_COUNT; number++)
    assert.equal((await rig.one(udpPacket(from(number), "?"))).source, VIP);
  return rig;
}

describe("further addresses to talk to endpoints from", () => {
  test("are used when the VIP's NAT ports are; answers come to them, and leave from the VIP", async () => {
    const rig = await full();
    assert.equal(gauge(rig, "udp-nat-ports-percent"), 50);
    const asked = await rig.one(udpPacket(from(PORT_COUNT), "?"));
    assert.equal(asked.source, FURTHER);
    const answer = await rig.one(udpPacket(back(asked), "!"));
    assert.deepEqual([answer.source, answer.sourcePort], [VIP, PORT]);
    assert.equal(answer.destination, from(PORT_COUNT).source);
    const before = rig.punts;
    assert.equal((await rig.one(udpPacket(from(PORT_COUNT), "more"))).source, FURTHER);
    assert.equal(rig.punts, before);
    for (let number = 1; number < PORT_COUNT; number++)
      assert.equal((await rig.one(udpPacket(from(PORT_COUNT + number), "?"))).source, FURTHER);
    assert.equal(gauge(rig, "udp-nat-ports-percent"), 100);
    assert.deepEqual(await rig.pass(udpPacket(from(2 * PORT_COUNT), "?")), []);
    assert.deepEqual(rig.drops(), { "nat-ports-exhausted": 1 });
    rig.clock.advance(400_000);
    assert.equal(rig.fastPath.flowCount, 0);
    const side = rig.forwarder.plain.room.sides.get(PROTOCOL_UDP);
    assert.deepEqual([side?.natPorts.counts().used, side?.sourcePorts.get(FURTHER)?.counts().used], [0, 0]);
  });

  test("a member that asks by NAT port learns of the flow that it means, of whatever address", async () => {
    const cluster = new PlainCluster(2, { services, memberNumberCount: 16 });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    const asked: Segment[] = [];
    for (let number = 0; number <= PORT_COUNT; number++)
      asked.push(await owner.one(udpPacket(from(number), "?")));
    const last = asked.at(-1) as Segment;
    const same = asked.filter(({ sourcePort }) => sourcePort === last.sourcePort);
    assert.deepEqual(
      same.map(({ source }) => source),
      [VIP, FURTHER],
    );
    assert.equal(other.records().length, 0, "they are young");
    for (const each of same) {
      const answer = await other.one(udpPacket(back(each), "!"));
      assert.equal(answer.destination, from(asked.indexOf(each)).source);
    }
    assert.equal(other.records().length, 2, "and of no other");
  });

  test("only by the member that has them", async () => {
    const rig = await full();
    rig.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    assert.deepEqual(await rig.pass(udpPacket(from(PORT_COUNT), "?")), []);
    rig.forwarder.setOwnership([
      { vip: VIP, owned: true },
      { vip: FURTHER, owned: true },
    ]);
    assert.equal((await rig.one(udpPacket(from(PORT_COUNT), "?"))).source, FURTHER);
  });

  test("a connection from one outlives its member and a restart, and is reset from there", async () => {
    const cluster = new PlainCluster(2, { services, memberNumberCount: 16 });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    const side = owner.forwarder.plain.room.sides.get(PROTOCOL_TCP);
    const place = side?.registry.endpointList()[0];
    assert.ok(side !== undefined && place !== undefined);
    for (let n = 0; n < PORT_COUNT; n++) side.natPorts.allocate(place.address, place.port, 0, `${n}`, 0);
    const connection = new Connection();
    await connection.open(owner);
    assert.equal(connection.server?.destination, FURTHER);
    const [record] = other.records();
    assert.ok(record !== undefined);
    assert.deepEqual([record.source, record.vip], [FURTHER, VIP]);
    assert.equal((await other.one(connection.up(ACK, "question"))).source, FURTHER);
    assert.equal((await other.one(connection.down(ACK, "answer"))).source, VIP);
    await other.one(connection.up(ACK));
    other.forwarder.stop();
    const again = new PlainRig({
      ...{ services, memberNumberCount: 16, fastPath: other.fastPath, clock: cluster.clock, memberNumber: 1 },
    });
    cluster.clock.advance(60_000);
    other.fastPath.takeOutgoing();
    assert.deepEqual(
      again.records().map(({ source }) => source),
      [FURTHER],
    );
    assert.equal((await again.one(connection.down(ACK, "more"))).destination, CLIENT);
    await again.one(connection.up(ACK));
    assert.ok(again.forwarder.removeSession(again.records()[0]?.id ?? ""));
    const told = again.fastPath.takeOutgoing().map(({ packet }) => segmentOf(packet));
    assert.deepEqual(
      told.map(({ flags, source, destination }) => [flags, source, destination]),
      [
        [RST, VIP, CLIENT],
        [RST, FURTHER, SERVER],
      ],
    );
  });

  test("the record says it in bytes behind what it said before, and one that is the VIP is none", async () => {
    const cluster = new PlainCluster(1, { services });
    const connection = new Connection();
    await connection.open(cluster.rig(0));
    const [record] = cluster.rig(0).records();
    assert.ok(record !== undefined && !isPlainEnded(record) && record.source === undefined);
    const plain = encodeWith(PLAIN_SESSIONS, record);
    const further = encodeWith(PLAIN_SESSIONS, { ...record, source: FURTHER });
    assert.deepEqual(further.subarray(0, plain.length), plain);
    assert.deepEqual(PLAIN_SESSIONS.decode(further), {
      delta: { ...record, source: FURTHER },
      end: further.length,
    });
    for (const source of [VIP, "2001:db8::7"] as const)
      assert.ok("malformed" in PLAIN_SESSIONS.decode(encodeWith(PLAIN_SESSIONS, { ...record, source })));
  });
});

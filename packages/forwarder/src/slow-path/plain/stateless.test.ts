import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Address, PROTOCOL_UDP, type Service } from "@holdfast/model";
import { fragmentPacket } from "../../fragments/fragmentation.ts";
import {
  CLIENT,
  type Ends,
  PlainCluster,
  PlainRig,
  PORT,
  plainService,
  SERVER,
  SERVER_PORT,
  type Segment,
  udpPacket,
  VIP,
} from "../../testing/plain.ts";
import { settled } from "../../testing/rig.ts";

const OTHER = "192.0.2.21";
const endpoint = (address: Address) => ({ address, port: SERVER_PORT, weight: 1, state: "active" as const });
const both = [endpoint(SERVER), endpoint(OTHER)];
const service = (changes: Partial<Service> = {}) =>
  plainService(PROTOCOL_UDP, { selection: "hash", stateless: true, endpoints: both, ...changes });
const services = [service()];
const ends: Ends = { source: CLIENT, sourcePort: 40_000, destination: VIP, destinationPort: PORT };
const back = ({ source, sourcePort, destination, destinationPort }: Segment): Ends => ({
  ...{ source: destination, sourcePort: destinationPort },
  ...{ destination: source, destinationPort: sourcePort },
});
const client = (number: number): Ends => ({ ...ends, source: `100.80.2.${number}` });

async function packetsOf(rig: PlainRig, bytes: Uint8Array): Promise<Uint8Array[]> {
  rig.fastPath.inject(bytes, 1);
  await settled();
  return rig.fastPath.takeOutgoing().map(({ packet }) => packet);
}

describe("stateless services of UDP", () => {
  test("no session is made, and the way back is found on the fast path", async () => {
    const rig = new PlainRig({ services });
    const asked = await rig.one(udpPacket(ends, "?"));
    assert.deepEqual([asked.source, asked.payload], [VIP, "?"]);
    const before = rig.punts;
    const answer = await rig.one(udpPacket(back(asked), "!"));
    assert.deepEqual(
      [answer.source, answer.sourcePort, answer.destination, answer.destinationPort],
      [VIP, PORT, CLIENT, 40_000],
    );
    assert.equal((await rig.one(udpPacket(ends, "more"))).sourcePort, asked.sourcePort);
    assert.equal(rig.punts, before);
    assert.deepEqual([rig.records(), [...rig.view.values()]], [[], []]);
    assert.deepEqual(rig.drops(), {});
  });

  test("a client has the same endpoint on every port and at every member; several clients share them", async () => {
    const cluster = new PlainCluster(2, { services, memberNumberCount: 2 });
    const seen = new Set<string>();
    for (let number = 1; number <= 20; number++) {
      const { destination } = await cluster.rig(0).one(udpPacket(client(number), "?"));
      seen.add(destination);
      for (const [rig, sourcePort] of [
        [cluster.rig(0), 41_000],
        [cluster.rig(1), 40_000],
      ] as const)
        assert.equal(
          (await rig.one(udpPacket({ ...client(number), sourcePort }, "?"))).destination,
          destination,
        );
    }
    assert.deepEqual([...seen].sort(), [SERVER, OTHER].sort());
    assert.equal(cluster.rig(1).records().length, 0, "nobody was told");
  });

  test("a question and its answer are over after 30 s, what goes on 5 min later; NAT ports come back", async () => {
    const rig = new PlainRig({ services });
    const asked = await rig.one(udpPacket(ends, "?"));
    await rig.one(udpPacket(back(asked), "!"));
    const short = await rig.one(udpPacket({ ...ends, sourcePort: 41_000 }, "?"));
    await rig.one(udpPacket(ends, "and"));
    rig.clock.advance(35_000);
    assert.equal(rig.fastPath.flowCount, 2);
    assert.deepEqual(await rig.pass(udpPacket(back(short), "late")), []);
    rig.clock.advance(300_000);
    assert.equal(rig.fastPath.flowCount, 0);
    const ports = rig.forwarder.plain.room.sides.get(PROTOCOL_UDP)?.natPorts;
    assert.equal(ports?.counts().used, 0);
  });

  test("datagrams in parts keep the way back as whole ones do", async () => {
    const rig = new PlainRig({ services });
    const inParts = async (bytes: Uint8Array) => {
      const out = [];
      for (const part of fragmentPacket(bytes, 576, 7)) out.push(...(await packetsOf(rig, part)));
      return out;
    };
    const whole = (payload: string) => payload.padEnd(1_400, ".");
    const asked = await rig.one(udpPacket(ends, "?"));
    const answer = udpPacket(back(asked), whole("!"));
    // Forty minutes, on the question's time first.
    for (const pauseS of [20, ...Array<number>(10).fill(240)]) {
      rig.clock.advance(pauseS * 1_000);
      assert.equal(rig.fastPath.flowCount, 2);
      assert.ok((await inParts(udpPacket(ends, whole("more")))).length > 1);
      assert.ok((await inParts(answer)).length > 1);
    }
    rig.clock.advance(301_000);
    assert.equal(rig.fastPath.flowCount, 0);
  });

  test("when the endpoint is down or gone its clients' datagrams go to another, and come back with it", async () => {
    const rig = new PlainRig({ services });
    const first = await rig.one(udpPacket(ends, "1"));
    const health = rig.forwarder.plain.room.sides.get(PROTOCOL_UDP)?.health;
    const place = { address: first.destination, port: SERVER_PORT } as const;
    health?.setOwn(place, "down", "test", rig.clock.nowMs());
    rig.clock.advance(3_000);
    const second = await rig.one(udpPacket(ends, "2"));
    assert.notEqual(second.destination, first.destination);
    health?.setOwn(place, "up", "test", rig.clock.nowMs());
    rig.clock.advance(3_000);
    assert.equal((await rig.one(udpPacket(ends, "3"))).destination, first.destination);
    rig.forwarder.setServices([
      service({ endpoints: both.filter(({ address }) => address !== first.destination) }),
    ]);
    rig.clock.advance(3_000);
    assert.equal((await rig.one(udpPacket(ends, "4"))).destination, second.destination);
  });

  test("a daemon that starts again finds the way back, and no sessions", async () => {
    const rig = new PlainRig({ services });
    const asked = await rig.one(udpPacket(ends, "?"));
    rig.forwarder.stop();
    const again = new PlainRig({ services, fastPath: rig.fastPath, clock: rig.clock });
    rig.clock.advance(5_000);
    assert.equal((await again.one(udpPacket(back(asked), "!"))).destination, CLIENT);
    const other = await again.one(
      udpPacket({ ...ends, source: "100.80.2.1", sourcePort: asked.sourcePort }, "?"),
    );
    assert.ok(other.destination !== asked.destination || other.sourcePort !== asked.sourcePort);
    assert.equal(again.records().length, 0);
    rig.clock.advance(60_000);
    assert.equal(rig.fastPath.flowCount, 0);
  });

  test("when all NAT ports are in use, one that was silent for a second is given again", async () => {
    const only = [service({ endpoints: [endpoint(SERVER)] })];
    // 4,032 NAT ports.
    const rig = new PlainRig({ services: only, memberNumberCount: 16 });
    const from = (number: number) => ({ ...ends, sourcePort: 1_024 + number });
    for (let number = 0; number < 4_032; number++) await rig.one(udpPacket(from(number), "?"));
    assert.deepEqual(await rig.pass(udpPacket(from(5_000), "?")), []);
    assert.equal(rig.drops()["nat-ports-exhausted"], 1);
    rig.clock.advance(2_000);
    const asked = await rig.one(udpPacket(from(5_000), "?"));
    assert.equal((await rig.one(udpPacket(back(asked), "!"))).destinationPort, 6_024);
    assert.equal(rig.fastPath.flowCount, 2 * 4_032);
  });

  test("said of a service that had sessions, or no more of one that had none: each flow changes over", async () => {
    const rig = new PlainRig({ services: [service({ stateless: false })] });
    await rig.one(udpPacket(ends, "?"));
    assert.equal(rig.records().length, 1);
    rig.forwarder.setServices(services);
    await rig.one(udpPacket({ ...ends, sourcePort: 41_000 }, "?"));
    assert.equal(rig.records().length, 1);
    rig.forwarder.setServices([service({ stateless: false })]);
    rig.clock.advance(3_000);
    await rig.one(udpPacket({ ...ends, sourcePort: 41_000 }, "?"));
    assert.equal(rig.records().length, 2);
  });
});

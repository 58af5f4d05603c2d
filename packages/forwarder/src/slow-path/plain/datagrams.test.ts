import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Address, type Endpoint, PROTOCOL_TCP, PROTOCOL_UDP, plainPhase } from "@holdfast/model";
import { read16, write16, writeIpv4Checksum } from "@holdfast/sctp";
import type { Punt } from "../../fast-path/port.ts";
import { SimulatedFastPath } from "../../fast-path/simulated/simulated-fast-path.ts";
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
  SYN,
  udpPacket,
  VIP,
} from "../../testing/plain.ts";
import { settled } from "../../testing/rig.ts";

const services = [plainService(PROTOCOL_UDP)];
const ends: Ends = { source: CLIENT, sourcePort: 40_000, destination: VIP, destinationPort: PORT };

/** The way back of what the server received. */
function back({ source, sourcePort, destination, destinationPort }: Segment): Ends {
  return {
    ...{ source: destination, sourcePort: destinationPort },
    ...{ destination: source, destinationPort: sourcePort },
  };
}

/** All that is punted came put together. */
class Offloading extends SimulatedFastPath {
  segmentSize: number | undefined;

  override onPunt(listener: (punt: Punt) => void): void {
    super.onPunt((punt) => {
      const { segmentSize } = this;
      listener(segmentSize === undefined ? punt : { ...punt, segmentSize });
    });
  }
}

describe("datagrams", () => {
  test("that a local stack put together begin a flow as many datagrams", async () => {
    const fastPath = new Offloading();
    const rig = new PlainRig({ services, fastPath });
    fastPath.segmentSize = 4;
    const sent = await rig.pass(udpPacket(ends, "one two six"));
    assert.deepEqual(
      sent.map(({ payload }) => payload),
      ["one ", "two ", "six"],
    );
    assert.equal(new Set(sent.map(({ sourcePort }) => sourcePort)).size, 1);
    assert.equal(rig.living().length, 1);
    assert.deepEqual(rig.drops(), {});
  });

  test("a flow for each client port; a question and its answer are over after 30 s, others after 5 min", async () => {
    const rig = new PlainRig({ services });
    const asked = await rig.one(udpPacket(ends, "?"));
    assert.deepEqual([asked.source, asked.destination, asked.payload], [VIP, SERVER, "?"]);
    const answer = await rig.one(udpPacket(back(asked), "!"));
    assert.deepEqual([answer.source, answer.sourcePort, answer.destinationPort], [VIP, PORT, 40_000]);
    const other = await rig.one(udpPacket({ ...ends, sourcePort: 40_001 }, "?"));
    assert.notEqual(other.sourcePort, asked.sourcePort);
    const before = rig.punts;
    await rig.one(udpPacket(ends, "and"));
    assert.equal(rig.punts, before, "on the fast path");
    rig.clock.advance(35_000);
    assert.deepEqual(
      rig.living().map((record) => [record.clientPort, plainPhase(record)]),
      [[40_000, "established"]],
    );
    rig.clock.advance(300_000);
    assert.deepEqual([rig.living().length, rig.fastPath.flowCount], [0, 0]);
  });

  test("questions and answers are nobody else's business; what goes on is known to all", async () => {
    const cluster = new PlainCluster(2, { services });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    const short = await owner.one(udpPacket({ ...ends, sourcePort: 50_000 }, "?"));
    await owner.one(udpPacket(back(short), "!"));
    const asked = await owner.one(udpPacket(ends, "1"));
    for (let i = 0; i < 4; i++) {
      cluster.clock.advance(1_000);
      await owner.one(udpPacket(ends, "more"));
      await owner.one(udpPacket(back(asked), "answer"));
    }
    cluster.clock.advance(2_000);
    assert.deepEqual(
      other.records().map(({ clientPort }) => clientPort),
      [40_000],
    );
    const before = other.punts;
    assert.equal((await other.one(udpPacket(ends, "there"))).sourcePort, asked.sourcePort);
    await other.one(udpPacket(back(asked), "and back"));
    assert.equal(other.punts, before);
  });

  test("of a flow that begins as its VIP moves away go on, whoever gets the next one", async () => {
    const cluster = new PlainCluster(2, { services });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    owner.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    const first = await owner.one(udpPacket(ends, "1"));
    await owner.one(udpPacket(back(first), "answer"));
    // Make before break: for a moment both have it, and the one before has told nobody of its young flows.
    other.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    assert.equal((await other.one(udpPacket(ends, "2"))).sourcePort, first.sourcePort);
    const newcomer = { ...ends, sourcePort: 40_001 };
    assert.equal((await other.one(udpPacket(newcomer, "new"))).payload, "new");
    assert.equal(other.questions, 2);
    cluster.clock.advance(11_000);
    await other.one(udpPacket({ ...ends, sourcePort: 40_002 }, "later"));
    assert.equal(other.questions, 2);
  });

  test("of newcomers are forwarded where the others may be asked no more, as its VIP moves", async () => {
    const rig = new PlainRig({ services, limits: { questionsPerSecond: 1 } });
    rig.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    for (let i = 0; i < 4; i++)
      assert.equal((await rig.one(udpPacket({ ...ends, sourcePort: 40_000 + i }, `${i}`))).payload, `${i}`);
    assert.ok(rig.questions < 4);
    assert.deepEqual(rig.drops(), {});
  });

  test("endpoints with addresses of both families have their shares over each of them", async () => {
    const vips: readonly Address[] = [VIP, "2001:db8::1"];
    const endpoints = [1, 3].map(
      (weight): Endpoint => ({
        ...{ address: `192.0.2.${weight}`, port: 8_080, weight, state: "active" as const },
        addresses: [`192.0.2.${weight}`, `2001:db8:2::${weight}`],
      }),
    );
    for (const [vip, client] of [
      [VIP, CLIENT],
      [vips[1] as Address, "2001:db8:9::1"],
    ] as const) {
      const rig = new PlainRig({ services: [plainService(PROTOCOL_UDP, { vips, endpoints })] });
      const seen = new Map<string, number>();
      for (let sourcePort = 40_000; sourcePort < 40_040; sourcePort++) {
        const from = { source: client, sourcePort, destination: vip, destinationPort: PORT } as const;
        const { destination } = await rig.one(udpPacket(from, "?"));
        seen.set(destination, (seen.get(destination) ?? 0) + 1);
      }
      assert.deepEqual([...seen.values()].sort(), [10, 30], vip);
    }
  });

  test("a datagram without bytes goes as others do", async () => {
    const rig = new PlainRig({ services });
    const asked = await rig.one(udpPacket(ends, ""));
    assert.equal(asked.payload, "");
    assert.equal((await rig.one(udpPacket(back(asked), ""))).payload, "");
  });

  test("begin a flow with bytes behind them, which their checksum does not count", async () => {
    const rig = new PlainRig({ services });
    const longer = Buffer.concat([udpPacket(ends, "?"), Buffer.from("behind")]);
    write16(longer, 2, longer.length);
    writeIpv4Checksum(longer);
    assert.equal((await rig.one(longer)).payload, "?behind");
    // A checksum of what stands behind, too, is wrong.
    const wrong = udpPacket({ ...ends, sourcePort: 40_001 }, "?behind");
    write16(wrong, 24, 9);
    assert.deepEqual(await rig.pass(wrong), []);
    assert.equal(rig.drops()["bad-checksum"], 1);
  });

  test("without a checksum begin a flow over IPv6, too, and go on in it", async () => {
    const [vip, server, client] = ["2001:db8::1", "2001:db8:2::1", "2001:db8:9::1"] as const;
    const endpoints = [{ address: server, port: 8_080, weight: 1, state: "active" as const }];
    const rig = new PlainRig({ services: [plainService(PROTOCOL_UDP, { vips: [vip], endpoints })] });
    const bare = udpPacket({ ...ends, source: client, destination: vip }, "?");
    write16(bare, 46, 0);
    for (let i = 0; i < 2; i++) {
      rig.fastPath.inject(bare, 1);
      await settled();
      const [sent] = rig.fastPath.takeOutgoing();
      assert.equal(sent && read16(sent.packet, 46), 0);
    }
    assert.equal(rig.living().length, 1);
    assert.equal(rig.punts, 1);
  });

  test("TCP and UDP on one port of one VIP have nothing to do with each other", async () => {
    const rig = new PlainRig({ services: [plainService(PROTOCOL_TCP), ...services] });
    const connection = new Connection();
    await connection.open(rig);
    const asked = await rig.one(udpPacket(ends, "?"));
    await rig.one(udpPacket(back(asked), "!"));
    assert.equal((await rig.one(connection.up(ACK, "x"))).payload, "x");
    assert.equal(rig.living().length, 2);
    rig.forwarder.setServices(services);
    assert.deepEqual(
      rig.living().map(({ protocol }) => protocol),
      [PROTOCOL_UDP],
      "one was taken away",
    );
    // What is sent are the resets of the connection that was taken away, and nothing for the new one.
    const sent = await rig.pass(new Connection({ sourcePort: 1 }).up(SYN));
    assert.deepEqual(
      sent.map(({ flags, destination }) => [flags, destination]),
      [
        [RST, CLIENT],
        [RST, SERVER],
      ],
    );
  });

  test("without an answer a flood of strangers has quotas, and does not displace who was answered", async () => {
    const limits = { embryoCountMaxPerPrefix: 4, embryoCountMaxPerService: 8 };
    const rig = new PlainRig({ services, limits });
    const asked = await rig.one(udpPacket(ends, "?"));
    await rig.one(udpPacket(back(asked), "!"));
    await rig.one(udpPacket(ends, "?"));
    rig.clock.advance(2_000);
    for (let i = 0; i < 64; i++)
      await rig.pass(udpPacket({ ...ends, source: `100.80.${2 + (i % 8)}.7`, sourcePort: 1_024 + i }, "x"));
    assert.ok(rig.living().length <= 9, `${rig.living().length} flows`);
    assert.ok(rig.living().some(({ client }) => client === CLIENT));
  });

  test("one that made room for a stranger counts no more, also where the others have been told of it", async () => {
    const limits = { embryoCountMaxPerPrefix: 4 };
    const rig = new PlainRig({ services: [plainService(PROTOCOL_UDP, { replicate: "always" })], limits });
    for (let i = 0; i < 64; i++) {
      await rig.pass(udpPacket({ ...ends, sourcePort: 1_024 + i }, "x"));
      rig.clock.advance(300);
    }
    const embryos = new Map(rig.forwarder.plain.gauges()).get("plain-embryos");
    assert.ok((embryos ?? 0) <= 4, `${embryos} embryos`);
    assert.ok(rig.living().length <= 4, `${rig.living().length} flows`);
  });

  test("when its endpoint is down the next datagram goes to another", async () => {
    const endpoints = ([SERVER, "192.0.2.21"] as const).map((address) => ({
      ...{ address, port: 8_080, weight: 1, state: "active" as const },
    }));
    const rig = new PlainRig({ services: [plainService(PROTOCOL_UDP, { endpoints })] });
    const first = await rig.one(udpPacket(ends, "?"));
    const side = rig.forwarder.plain.room.sides.get(PROTOCOL_UDP);
    side?.health.setOwn({ address: first.destination, port: 8_080 }, "down", "test", rig.clock.nowMs());
    const next = await rig.one(udpPacket(ends, "?"));
    assert.notEqual(next.destination, first.destination);
  });

  test("no NAT port is left: one of a question that was answered is used again, then nobody new is served", async () => {
    const rig = new PlainRig({ services, memberNumberCount: 1_024 });
    const ports = new Set<number>();
    for (let i = 0; i < 63; i++) {
      const asked = await rig.one(udpPacket({ ...ends, sourcePort: 50_000 + i }, "?"));
      ports.add(asked.sourcePort);
      if (i === 0) await rig.one(udpPacket(back(asked), "!"));
    }
    assert.deepEqual(await rig.pass(udpPacket({ ...ends, sourcePort: 60_000 }, "?")), []);
    assert.equal(rig.drops()["nat-ports-exhausted"], 1);
    assert.equal(new Map(rig.forwarder.plain.gauges()).get("udp-nat-ports-percent"), 100);
    rig.clock.advance(5_000);
    const reused = await rig.one(udpPacket({ ...ends, sourcePort: 60_001 }, "?"));
    assert.ok(ports.has(reused.sourcePort));
  });
});

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PROTOCOL_TCP, plainPhase } from "@holdfast/model";
import {
  ACK,
  CLIENT,
  Connection,
  FIN,
  PlainCluster,
  PlainRig,
  plainService,
  RST,
  SERVER,
  SERVER_PORT,
  SYN,
  segmentOf,
  VIP,
} from "../../testing/plain.ts";

const services = [plainService(PROTOCOL_TCP)];

describe("TCP connections through one member", () => {
  test("a handshake, data both ways on the fast path, a close", async () => {
    const rig = new PlainRig({ services });
    const connection = new Connection();
    const syn = await rig.one(connection.up(SYN));
    assert.deepEqual(
      [syn.source, syn.destination, syn.destinationPort, syn.flags],
      [VIP, SERVER, SERVER_PORT, SYN],
    );
    connection.heard(syn);
    assert.deepEqual(rig.phases(), ["opening"]);
    const synAck = await rig.one(connection.down(SYN | ACK));
    assert.deepEqual([synAck.source, synAck.sourcePort, synAck.destinationPort], [VIP, 80, 40_000]);
    await rig.one(connection.up(ACK));
    assert.deepEqual(rig.phases(), ["established"]);
    const before = rig.punts;
    for (let i = 0; i < 5; i++) {
      assert.equal((await rig.one(connection.up(ACK, `question ${i}`))).payload, `question ${i}`);
      assert.equal((await rig.one(connection.down(ACK, `answer ${i}`))).payload, `answer ${i}`);
    }
    assert.equal(rig.punts, before, "no packet of an open connection comes to the slow path");
    await rig.one(connection.up(FIN | ACK));
    await rig.one(connection.down(ACK));
    rig.clock.advance(3_000);
    assert.deepEqual(rig.phases(), ["closing"]);
    await rig.one(connection.down(FIN | ACK));
    await rig.one(connection.up(ACK));
    rig.clock.advance(3_000);
    assert.deepEqual(rig.phases(), ["timeWait"]);
    rig.clock.advance(300_000);
    assert.deepEqual(rig.phases(), ["closed"], "as others know it, it is theirs to forget");
    assert.equal(rig.fastPath.flowCount, 0);
    assert.deepEqual(rig.drops(), {});
  });

  test("a short one is over without a word, and nobody is told of it", async () => {
    for (const at of [0, 100, 450, 900]) {
      const rig = new PlainRig({ services });
      rig.clock.advance(2_000 + at);
      const connection = new Connection();
      await connection.open(rig);
      rig.clock.advance(650);
      const before = rig.punts;
      await connection.close(rig);
      rig.clock.advance(5_000);
      assert.deepEqual([rig.punts, rig.phases(), [...rig.view.values()]], [before, ["timeWait"], []]);
    }
  });

  test("that others know is told to them as soon as it ends", async () => {
    for (const [replicate, ageMs] of [["long-lived", 2_000] as const, ["always", 0] as const]) {
      const rig = new PlainRig({ services: [plainService(PROTOCOL_TCP, { replicate })] });
      const connection = new Connection();
      await connection.open(rig);
      rig.clock.advance(ageMs);
      assert.deepEqual([...rig.view.values()].map(plainPhase), ["established"]);
      const before = rig.punts;
      await connection.close(rig);
      // The second FIN's own acknowledgment is seen by the next sweep.
      assert.deepEqual([rig.punts - before, [...rig.view.values()].map(plainPhase)], [2, ["closing"]]);
      rig.clock.advance(2_000);
      assert.deepEqual([...rig.view.values()].map(plainPhase), ["timeWait"]);
    }
  });

  test("half closed, the other half goes on for as long as an open one may", async () => {
    const rig = new PlainRig({ services });
    const connection = new Connection();
    await connection.open(rig);
    await rig.one(connection.up(FIN | ACK));
    await rig.one(connection.down(ACK));
    rig.clock.advance(7_000_000);
    assert.equal((await rig.one(connection.down(ACK, "late"))).payload, "late");
    assert.deepEqual(rig.phases(), ["closing"]);
    rig.clock.advance(7_500_000);
    assert.deepEqual(rig.phases(), ["closed"], "2 h 4 min without a packet (RFC 5382 REQ-5)");
  });

  test("a refused SYN comes back refused, and leaves nothing", async () => {
    const rig = new PlainRig({ services });
    const connection = new Connection();
    connection.heard(await rig.one(connection.up(SYN)));
    connection.serverNext = 0;
    const refused = await rig.one(connection.down(RST | ACK));
    assert.deepEqual([refused.source, refused.flags], [VIP, RST | ACK]);
    assert.equal(rig.records().length, 0);
  });

  test("a forged SYN, FIN or RST changes nothing of an open connection", async () => {
    const rig = new PlainRig({ services });
    const connection = new Connection();
    await connection.open(rig);
    await rig.one(connection.up(ACK, "x"));
    await rig.one(connection.down(ACK, "y"));
    const forged = new Connection({}, 0x7000_0000, 0x1000_0000);
    assert.deepEqual(await rig.pass(forged.up(RST | ACK)), []);
    assert.deepEqual(await rig.pass(forged.up(FIN | ACK)), []);
    // The endpoint judges it (RFC 5961 §4), and says what it knows.
    assert.equal((await rig.one(forged.up(SYN))).flags, SYN);
    assert.deepEqual(await rig.pass(forged.up(SYN)), [], "one a second");
    assert.equal((await rig.one(connection.down(ACK))).flags, ACK);
    assert.equal((await rig.one(connection.up(ACK, "on it goes"))).payload, "on it goes");
    assert.deepEqual(rig.phases(), ["established"]);
    const before = rig.punts;
    await rig.one(connection.up(ACK, "z"));
    assert.equal(rig.punts, before, "and on the fast path again");
  });

  test("a reset ends it when nobody speaks after it; a port in TIME-WAIT is used again by a higher number", async () => {
    const rig = new PlainRig({ services });
    const reset = new Connection();
    await reset.open(rig);
    await rig.one(reset.up(ACK, "x"));
    await rig.one(reset.down(ACK, "y"));
    await rig.one(reset.up(RST | ACK));
    rig.clock.advance(245_000);
    assert.equal(rig.records().length, 0, "transitory, 4 min (RFC 7857 §2.2)");

    const first = new Connection();
    await first.open(rig);
    await first.close(rig);
    rig.clock.advance(2_000);
    const old = new Connection({}, 500);
    assert.equal(
      (await rig.one(old.up(SYN))).sourcePort,
      first.server?.destinationPort,
      "its endpoint judges",
    );
    const next = new Connection({}, 5_000_000);
    await next.open(rig);
    assert.notEqual(next.server?.destinationPort, first.server?.destinationPort);
    assert.equal((await rig.one(next.up(ACK, "again"))).payload, "again");
  });

  test("an operator ends one: both ends are told, with the numbers that they expect", async () => {
    const rig = new PlainRig({ services });
    const connection = new Connection();
    await connection.open(rig);
    await rig.one(connection.up(ACK, "abc"));
    await rig.one(connection.down(ACK, "de"));
    await rig.one(connection.up(ACK));
    const [record] = rig.records();
    assert.ok(rig.forwarder.removeSession(record?.id ?? ""));
    const told = rig.fastPath.takeOutgoing().map(({ packet }) => segmentOf(packet));
    assert.deepEqual(
      told.map(({ flags, destination, sequence }) => [flags, destination, sequence]),
      [
        [RST, CLIENT, connection.serverNext],
        [RST, SERVER, connection.clientNext],
      ],
    );
    assert.equal(rig.fastPath.flowCount, 0);
    assert.equal(rig.forwarder.removeSession(record?.id ?? ""), false);
  });

  test("both ends open at once", async () => {
    const rig = new PlainRig({ services });
    const connection = new Connection();
    connection.heard(await rig.one(connection.up(SYN)));
    const own = connection.serverNext;
    assert.equal((await rig.one(connection.down(SYN))).flags, SYN);
    connection.clientNext -= 1;
    connection.serverNext = own + 1;
    assert.equal((await rig.one(connection.up(SYN | ACK))).flags, SYN | ACK);
    connection.serverNext = own;
    assert.equal((await rig.one(connection.down(SYN | ACK))).flags, SYN | ACK);
    await rig.one(connection.up(ACK, "hello"));
    assert.deepEqual(rig.phases(), ["established"]);
  });

  test("a flood of SYNs costs embryos with quotas, and an open connection nothing", async () => {
    const limits = { embryoCountMaxPerPrefix: 4, embryoCountMaxPerService: 8, initTimeoutMs: 15_000 };
    const rig = new PlainRig({ services, limits });
    const connection = new Connection();
    await connection.open(rig);
    for (let i = 0; i < 32; i++)
      await rig.pass(new Connection({ source: `100.80.${2 + (i % 8)}.7`, sourcePort: 1_024 + i }).up(SYN));
    assert.ok(rig.records().length <= 9);
    assert.ok((rig.drops()["embryo-quota"] ?? 0) >= 24);
    assert.equal((await rig.one(connection.up(ACK, "on"))).payload, "on");
    rig.clock.advance(20_000);
    assert.deepEqual(rig.phases(), ["established"]);
  });
});

describe("TCP connections of several members", () => {
  test("one that has lived a second is known to all, and any of them forwards it; a younger one is not", async () => {
    const cluster = new PlainCluster(3, { services });
    const [owner, successor] = [cluster.rig(0), cluster.rig(1)];
    const connection = new Connection();
    await connection.open(owner);
    assert.equal(successor.records().length, 0);
    cluster.clock.advance(2_500);
    for (const rig of cluster.rigs) assert.deepEqual(rig.phases(), ["established"]);
    const before = successor.punts;
    assert.equal((await successor.one(connection.up(ACK, "elsewhere"))).payload, "elsewhere");
    assert.equal((await successor.one(connection.down(ACK, "here"))).payload, "here");
    assert.equal(successor.punts, before);
    await connection.close(successor);
    cluster.clock.advance(3_000);
    for (const rig of cluster.rigs) assert.deepEqual(rig.phases(), ["timeWait"]);
    cluster.clock.advance(300_000);
    assert.deepEqual(
      cluster.rigs.map((rig) => rig.fastPath.flowCount),
      [0, 0, 0],
    );
  });

  test("one that another member saw to its end gives its client's port free: its numbers are not known here", async () => {
    const cluster = new PlainCluster(2, {
      services: [plainService(PROTOCOL_TCP, { replicate: "always" })],
    });
    const [first, second] = [cluster.rig(0), cluster.rig(1)];
    const old = new Connection();
    await old.open(first);
    await old.close(first);
    cluster.clock.advance(2_000);
    const next = new Connection({}, 77);
    await next.open(second);
    assert.notEqual(next.server?.destinationPort, old.server?.destinationPort);
    assert.equal((await second.one(next.up(ACK, "anew"))).payload, "anew");
  });

  test("a packet of a connection that only another member knows is held, asked about, and forwarded", async () => {
    const cluster = new PlainCluster(2, { services });
    const connection = new Connection();
    await connection.open(cluster.rig(0));
    assert.equal((await cluster.rig(1).one(connection.up(ACK, "young"))).payload, "young");
    assert.equal((await cluster.rig(1).one(connection.down(ACK, "too"))).payload, "too");
    const stranger = new Connection({ sourcePort: 41_000 });
    assert.deepEqual(await cluster.rig(1).pass(stranger.up(ACK, "of nobody")), []);
    assert.equal(cluster.rig(1).drops()["no-session"], 1);
  });

  test("a handshake that one member began and another one ends", async () => {
    const cluster = new PlainCluster(2, { services });
    const [first, second] = [cluster.rig(0), cluster.rig(1)];
    const connection = new Connection();
    connection.heard(await first.one(connection.up(SYN)));
    await first.one(connection.down(SYN | ACK));
    assert.equal((await second.one(connection.up(ACK))).flags, ACK);
    assert.equal((await second.one(connection.up(ACK, "on"))).payload, "on");
    cluster.clock.advance(100_000);
    for (const rig of cluster.rigs) assert.deepEqual(rig.phases(), ["established"]);
    assert.equal((await first.one(connection.up(ACK, "here too"))).payload, "here too");
  });

  test("before a member hands its VIPs over the others know all of its connections", async () => {
    const cluster = new PlainCluster(2, { services });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    owner.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    const connection = new Connection();
    await connection.open(owner);
    owner.forwarder.setOwnership([{ vip: VIP, owned: false }]);
    other.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    assert.deepEqual(other.phases(), ["established"]);
    assert.equal((await other.one(connection.up(ACK, "moved"))).payload, "moved");
  });

  test("never: a flow lives and dies with its member; always: it is known from the handshake on", async () => {
    for (const [replicate, count] of [
      ["never", 0],
      ["always", 1],
    ] as const) {
      const cluster = new PlainCluster(2, { services: [plainService(PROTOCOL_TCP, { replicate })] });
      const connection = new Connection();
      await connection.open(cluster.rig(0));
      assert.equal(cluster.rig(1).records().length, count, replicate);
      cluster.clock.advance(5_000);
      assert.equal(cluster.rig(1).records().length, count, replicate);
    }
  });

  test("a daemon that comes back finds its connections in the data plane", async () => {
    const cluster = new PlainCluster(1, { services });
    const connection = new Connection();
    await connection.open(cluster.rig(0));
    await cluster.rig(0).one(connection.up(ACK, "before"));
    cluster.rig(0).forwarder.stop();
    const { clock } = cluster;
    const again = new PlainRig({ services, clock, fastPath: cluster.rig(0).fastPath });
    assert.equal((await again.one(connection.up(ACK, "during"))).payload, "during");
    clock.advance(10_000);
    assert.deepEqual(again.phases(), ["established"]);
    assert.equal((await again.one(connection.down(ACK, "after"))).payload, "after");
    const other = new Connection({ sourcePort: 40_001 });
    await other.open(again);
    assert.notEqual(other.server?.destinationPort, connection.server?.destinationPort);
  });
});

// SYN-ACKs that the fast path forwards by itself, and what the slow path knows of them when.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { PROTOCOL_TCP, seededRandom } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { SimulatedFastPath } from "../../fast-path/simulated/simulated-fast-path.ts";
import {
  ACK,
  Connection,
  FIN,
  PlainCluster,
  PlainRig,
  type PlainRigOptions,
  plainService,
  RST,
  SERVER,
  SERVER_PORT,
  SYN,
} from "../../testing/plain.ts";

const OTHER = "192.0.2.21";
const services = [plainService(PROTOCOL_TCP)];
const event = (rig: PlainRig, name: "connections-opened" | "embryos-expired" | "embryos-evicted") =>
  rig.forwarder.counters().events.get(name);

/** Nobody goes through the flows: what is known comes from packets, or from a look. */
function rigOf(options: Partial<PlainRigOptions> = {}): PlainRig {
  const clock = new ManualClock();
  const rig = new PlainRig({
    services,
    clock,
    ...options,
    limits: { sweepPeriodMs: 1e9, ...options.limits },
  });
  clock.advance(200);
  return rig;
}

async function begun(rig: PlainRig, connection = new Connection()): Promise<Connection> {
  connection.heard(await rig.one(connection.up(SYN)));
  return connection;
}

describe("a connection whose endpoint's SYN-ACK the fast path forwards", () => {
  test("costs the slow path its SYN, and a copy of what opened it", async () => {
    const rig = rigOf();
    const before = rig.punts;
    await begun(rig);
    const connection = new Connection({ sourcePort: 40_001 });
    await connection.open(rig);
    await connection.close(rig);
    assert.equal(rig.fastPath.totals().get("punt.synAck"), undefined);
    assert.equal(rig.fastPath.totals().get("punt.learn"), 1);
    // Two SYNs, one copy of an acknowledgment.
    assert.equal(rig.punts - before, 3);
    rig.clock.advance(2_000);
    assert.deepEqual(rig.phases().sort(), ["opening", "timeWait"]);
  });

  test("has the window scale that both ends agreed on, also as others know it", async () => {
    const rig = rigOf({ services: [plainService(PROTOCOL_TCP, { replicate: "always" })] });
    await new Connection().open(rig);
    assert.deepEqual(
      [...rig.view.values()].map(({ windowScale }) => windowScale),
      [7],
    );
  });

  test("meets an old one of its NAT port's at the endpoint: its client resets that, and its SYN is said again", async () => {
    const rig = rigOf();
    const connection = await begun(rig);
    const { clientNext, serverNext } = connection;
    // RFC 9293 §3.10.7.4: what the endpoint is at in the connection that it remembers.
    [connection.clientNext, connection.serverNext] = [77_000_000, 5_000];
    assert.equal((await rig.one(connection.down(ACK))).flags, ACK);
    connection.clientNext += 1;
    assert.deepEqual(await rig.pass(connection.up(RST)), []);
    assert.equal(rig.drops()["wrong-phase"], 1);
    connection.clientNext -= 1;
    const sent = await rig.pass(connection.up(RST));
    assert.deepEqual(
      sent.map(({ flags, sequence }) => [flags, sequence]),
      [
        [RST, 77_000_000],
        [SYN, clientNext - 1],
      ],
    );
    assert.deepEqual(rig.phases(), ["opening"]);
    // Once: a reset that comes again is of nothing.
    assert.deepEqual(await rig.pass(connection.up(RST)), []);
    Object.assign(connection, { clientNext, serverNext });
    await rig.one(connection.down(SYN | ACK));
    await rig.one(connection.up(ACK));
    assert.equal((await rig.one(connection.up(ACK, "question"))).payload, "question");
    assert.deepEqual(rig.phases(), ["established"]);
  });

  test("repeats its SYN and is answered again without the slow path", async () => {
    const rig = rigOf();
    const connection = await begun(rig);
    const before = rig.punts;
    connection.clientNext -= 1;
    assert.equal((await rig.one(connection.up(SYN))).flags, SYN);
    await rig.one(connection.down(SYN | ACK));
    connection.serverNext -= 1;
    await rig.one(connection.down(SYN | ACK));
    await rig.one(connection.up(ACK));
    assert.equal(rig.punts, before + 1);
    assert.deepEqual(rig.phases(), ["established"]);
  });

  test("may begin anew from the same port before its endpoint has answered", async () => {
    const rig = rigOf();
    const connection = await begun(rig);
    connection.clientNext = 77_000;
    const again = await rig.one(connection.up(SYN));
    assert.equal(again.sourcePort, connection.server?.destinationPort);
    assert.equal((await rig.one(connection.down(SYN | ACK))).flags, SYN | ACK);
    await rig.one(connection.up(ACK));
    assert.deepEqual([rig.phases(), rig.fastPath.totals().get("punt.synAck")], [["established"], undefined]);
  });

  test("is refused by its endpoint, or given up by its client, as ever", async () => {
    const rig = rigOf();
    const refused = await begun(rig);
    refused.serverNext = 0;
    assert.equal((await rig.one(refused.down(RST | ACK))).flags, RST | ACK);
    const left = await begun(rig, new Connection({ sourcePort: 40_001 }));
    await rig.one(left.down(SYN | ACK));
    assert.equal((await rig.one(left.up(RST))).flags, RST);
    const late = await begun(rig, new Connection({ sourcePort: 40_002 }));
    await rig.one(late.down(SYN | ACK));
    assert.equal((await rig.one(late.down(RST))).flags, RST);
    assert.deepEqual([rig.records(), rig.fastPath.flowCount, rig.drops()], [[], 0, {}]);
  });

  test("ends with the acknowledgment already: a FIN is judged with what the fast path knows", async () => {
    const rig = rigOf();
    const connection = await begun(rig);
    await rig.one(connection.down(SYN | ACK));
    assert.equal((await rig.one(connection.up(FIN | ACK))).flags, FIN | ACK);
    assert.equal((await rig.one(connection.down(ACK, "rest"))).payload, "rest");
    assert.deepEqual(event(rig, "connections-opened"), 1);
  });
});

describe("what nobody has heard of", () => {
  test("times out by what the fast path knows: 15 s without an answer, 75 s without an acknowledgment", async () => {
    const rig = rigOf();
    await begun(rig);
    const answered = await begun(rig, new Connection({ sourcePort: 40_001 }));
    await rig.one(answered.down(SYN | ACK));
    rig.clock.advance(16_000);
    assert.deepEqual([rig.records().length, event(rig, "embryos-expired")], [1, 1]);
    await rig.one(answered.up(ACK));
    assert.deepEqual(rig.phases(), ["established"]);
    const slow = await begun(rig, new Connection({ sourcePort: 40_002 }));
    await rig.one(slow.down(SYN | ACK));
    rig.clock.advance(76_000);
    assert.deepEqual([rig.records().length, event(rig, "embryos-expired")], [1, 2]);
    assert.equal(rig.fastPath.flowCount, 2);
  });

  test("leaves nothing in the fast path when it is evicted", async () => {
    const rig = rigOf({ limits: { embryoCountMaxPerPrefix: 1 } });
    await begun(rig);
    rig.clock.advance(1_500);
    await begun(rig, new Connection({ sourcePort: 40_001 }));
    assert.deepEqual([rig.records().length, event(rig, "embryos-evicted")], [1, 1]);
    assert.equal(rig.fastPath.flowCount, 2);
  });

  test("is known to others who ask", async () => {
    const cluster = new PlainCluster(2, { services, limits: { sweepPeriodMs: 1e9 } });
    cluster.clock.advance(200);
    const [first, second] = [cluster.rig(0), cluster.rig(1)];
    const connection = await begun(first);
    await first.one(connection.down(SYN | ACK));
    assert.equal((await second.one(connection.up(ACK))).flags, ACK);
    assert.equal((await first.one(connection.down(ACK, "old owner"))).payload, "old owner");
    assert.deepEqual(second.records()[0]?.windowScale, 7);
  });
});

test("numbers that are made up open nothing, and end nothing", async () => {
  const rig = rigOf({ services: [plainService(PROTOCOL_TCP, { proxyProtocol: true })] });
  const plain = rigOf();
  const random = seededRandom(7);
  for (const each of [rig, plain]) {
    const connection = await begun(each);
    await each.one(connection.down(SYN | ACK));
    for (let i = 0; i < 2_000; i++)
      for (const flags of [ACK, RST, RST | ACK]) {
        const far = () => (random.below(0xffff_0000 - 0x1_0000) + 0x1_0000) >>> 0;
        const forged = new Connection({}, 1_001 + far(), 900_001 + far());
        assert.deepEqual(await each.pass(forged.up(flags)), []);
      }
    assert.deepEqual(each.phases(), ["opening"]);
    assert.equal(each.drops()["wrong-phase"], 6_000);
  }
});

test("SYNs to an endpoint that was called down meanwhile are seen here again, and go elsewhere", async () => {
  const endpoints = [SERVER, OTHER].map((address) => ({
    ...{ address, port: SERVER_PORT, weight: 1, state: "active" as const },
  })) as never;
  const rig = rigOf({ services: [plainService(PROTOCOL_TCP, { endpoints })] });
  const connection = new Connection();
  const first = await rig.one(connection.up(SYN));
  const side = rig.forwarder.plain.proven[0];
  side?.health.setOwn({ address: first.destination, port: SERVER_PORT }, "down", "test", 0);
  connection.clientNext -= 1;
  const second = await rig.one(connection.up(SYN));
  assert.notEqual(second.destination, first.destination);
  connection.heard(second);
  await rig.one(connection.down(SYN | ACK));
  await rig.one(connection.up(ACK));
  assert.deepEqual(rig.phases(), ["established"]);
});

test("the next daemon goes on with handshakes that were answered, and forgets those that were not", async () => {
  const clock = new ManualClock();
  const fastPath = new SimulatedFastPath({ nowMs: () => clock.nowMs() });
  const before = new PlainRig({ services, clock, fastPath });
  await begun(before);
  const answered = await begun(before, new Connection({ sourcePort: 40_001 }));
  await before.one(answered.down(SYN | ACK));
  before.forwarder.stop();
  const after = new PlainRig({ services, clock, fastPath });
  clock.advance(6_000);
  assert.deepEqual([after.phases(), fastPath.flowCount], [["opening"], 2]);
  await after.one(answered.up(ACK));
  clock.advance(2_000);
  assert.deepEqual(after.phases(), ["established"]);
  assert.equal((await after.one(answered.up(ACK, "on"))).payload, "on");
});

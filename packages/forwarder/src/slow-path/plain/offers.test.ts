// Services of TCP with `stateless`: connections that the fast path begins, and what becomes of them.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Endpoint, PROTOCOL_TCP, plainPhase, type Service } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { OfferingFastPath } from "../../testing/offering.ts";
import {
  ACK,
  Connection,
  FIN,
  PlainRig,
  type PlainRigOptions,
  plainService,
  RST,
  SERVER,
  SERVER_PORT,
  SYN,
  VIP,
} from "../../testing/plain.ts";

const OTHER = "192.0.2.21";
const endpoint = (address: Endpoint["address"]): Endpoint => ({
  ...{ address, port: SERVER_PORT, weight: 1, state: "active" },
});
const stateless = (changes: Partial<Service> = {}) =>
  plainService(PROTOCOL_TCP, { stateless: true, ...changes });
const gauge = (rig: PlainRig, name: string) => new Map(rig.forwarder.plain.gauges()).get(name);
const offers = (rig: PlainRig) => gauge(rig, "tcp-offers") ?? 0;
const event = (rig: PlainRig, name: "connections-begun" | "connections-opened" | "embryos-evicted") =>
  rig.forwarder.counters().events.get(name);

function rigOf(
  services: readonly Service[] = [stateless()],
  options: Partial<PlainRigOptions> = {},
): PlainRig {
  const { clock = new ManualClock() } = options;
  const fastPath = options.fastPath ?? new OfferingFastPath({ nowMs: () => clock.nowMs() });
  const rig = new PlainRig({ services, clock, fastPath, ...options });
  clock.advance(200);
  return rig;
}

/** It begins from an offer, and is the slow path's before it is open. */
async function slowlyOpened(rig: PlainRig): Promise<Connection> {
  const connection = new Connection();
  connection.heard(await rig.one(connection.up(SYN)));
  // Of nobody's numbers.
  await rig.pass(connection.down(ACK, "?"));
  await rig.one(connection.down(SYN | ACK));
  await rig.one(connection.up(ACK));
  return connection;
}

describe("a connection that the fast path begins", () => {
  test("is over without the slow path, and its NAT port is offered again", async () => {
    const rig = rigOf();
    const before = rig.punts;
    const waiting = offers(rig);
    assert.ok(waiting > 0);
    const connection = new Connection();
    await connection.open(rig);
    assert.equal((await rig.one(connection.up(ACK, "question"))).payload, "question");
    assert.equal((await rig.one(connection.down(ACK, "answer"))).payload, "answer");
    await connection.close(rig);
    assert.deepEqual([rig.punts, rig.records().length, rig.fastPath.flowCount], [before, 0, 2]);
    // At the first look.
    rig.clock.advance(1_250);
    assert.deepEqual([rig.fastPath.flowCount, gauge(rig, "tcp-offered-flows")], [0, 0]);
    assert.deepEqual([event(rig, "connections-begun"), event(rig, "connections-opened")], [1, 1]);
    assert.deepEqual([rig.drops(), rig.records(), [...rig.view.values()]], [{}, [], []]);
  });

  test("and is over gives way to its client's next SYN on the same ports; its NAT port rests as any other's", async () => {
    const rig = rigOf();
    const before = rig.punts;
    const old = new Connection();
    await old.open(rig);
    await old.close(rig);
    rig.clock.advance(500);
    const next = new Connection({}, 0x2000_0000);
    await next.open(rig);
    assert.notEqual(next.server?.destinationPort, old.server?.destinationPort);
    assert.deepEqual([rig.punts, rig.fastPath.flowCount], [before, 3]);
    // The endpoint has not heard the last acknowledgment, and says its FIN again.
    assert.deepEqual(await rig.pass(old.down(FIN | ACK)), []);
    assert.equal((await rig.one(next.up(ACK, "question"))).payload, "question");
    rig.clock.advance(900);
    assert.deepEqual([rig.fastPath.flowCount, gauge(rig, "tcp-offered-flows")], [2, 1]);
    assert.equal((await rig.one(next.down(ACK, "answer"))).payload, "answer");
    assert.deepEqual([event(rig, "connections-begun"), event(rig, "connections-opened")], [2, 1]);
    await next.close(rig);
    rig.clock.advance(2_500);
    assert.deepEqual([rig.fastPath.flowCount, gauge(rig, "tcp-offered-flows")], [0, 0]);
    assert.deepEqual([event(rig, "connections-opened"), rig.records()], [2, []]);
  });

  test("is begun where the slow path had the one before, once that is over", async () => {
    const rig = rigOf();
    const old = await slowlyOpened(rig);
    await old.close(rig);
    assert.equal(rig.records().length, 1);
    rig.clock.advance(2_500);
    assert.deepEqual([rig.records(), rig.fastPath.flowCount, [...rig.view.values()]], [[], 0, []]);
    const before = rig.punts;
    await new Connection({}, 0x2000_0000).open(rig);
    assert.equal(rig.punts, before);
  });

  test("and is reset stands as long as a session's is, once the slow path has it", async () => {
    const rig = rigOf();
    const connection = await slowlyOpened(rig);
    await rig.one(connection.down(RST | ACK));
    rig.clock.advance(5_000);
    assert.equal(rig.fastPath.flowCount, 2);
  });

  test("meets an old one of its NAT port's at the endpoint: its client resets that, and begins", async () => {
    const rig = rigOf();
    const connection = new Connection();
    connection.heard(await rig.one(connection.up(SYN)));
    const { clientNext, serverNext } = connection;
    [connection.clientNext, connection.serverNext] = [77_000_000, 5_000];
    assert.equal((await rig.one(connection.down(ACK))).flags, ACK);
    assert.equal((await rig.one(connection.up(RST))).sequence, 77_000_000);
    Object.assign(connection, { clientNext: clientNext - 1, serverNext });
    assert.equal((await rig.one(connection.up(SYN))).flags, SYN);
    await rig.one(connection.down(SYN | ACK));
    await rig.one(connection.up(ACK));
    assert.deepEqual([rig.phases(), rig.drops()], [["established"], {}]);
  });

  test("becomes a session that others know once it has lived a while", async () => {
    const rig = rigOf();
    const connection = new Connection();
    await connection.open(rig);
    rig.clock.advance(900);
    assert.deepEqual(rig.phases(), []);
    rig.clock.advance(1_500);
    assert.deepEqual(rig.phases(), ["established"]);
    assert.deepEqual(
      [...rig.view.values()].map(({ windowScale, natPort }) => [windowScale, natPort]),
      [[7, connection.server?.destinationPort]],
    );
    const before = rig.punts;
    assert.equal((await rig.one(connection.up(ACK, "on"))).payload, "on");
    assert.equal(rig.punts, before);
    await connection.close(rig);
    rig.clock.advance(300_000);
    assert.deepEqual([rig.fastPath.flowCount, rig.phases()], [0, ["closed"]]);
  });

  test("is refused, reset, asked about: whatever comes to the slow path finds it", async () => {
    const rig = rigOf();
    const refused = new Connection();
    refused.heard(await rig.one(refused.up(SYN)));
    refused.serverNext = 0;
    assert.equal((await rig.one(refused.down(RST | ACK))).flags, RST | ACK);
    const forged = new Connection({ sourcePort: 40_001 });
    await forged.open(rig);
    const other = new Connection({ sourcePort: 40_001 }, 0x7000_0000);
    assert.equal((await rig.one(other.up(SYN))).flags, SYN);
    assert.equal((await rig.one(forged.down(ACK))).flags, ACK);
    assert.equal((await rig.one(forged.up(ACK, "on"))).payload, "on");
    assert.deepEqual(rig.phases(), ["established"]);
    const early = new Connection({ sourcePort: 40_002 });
    early.heard(await rig.one(early.up(SYN)));
    await rig.one(early.down(SYN | ACK));
    assert.equal((await rig.one(early.up(FIN | ACK))).flags, FIN | ACK);
    const asked = new Connection({ sourcePort: 40_003 });
    await asked.open(rig);
    const { source, sourcePort } = asked.ends;
    const service = stateless();
    rig.forwarder.publish({ kind: "client", serviceId: service.id, client: source, clientPort: sourcePort });
    assert.equal([...rig.view.values()].length, 1);
  });

  test("that is not opened makes room after a second when others want it; without an answer after 15 s in any case", async () => {
    const rig = rigOf([stateless()], { memberNumberCount: 1_024 });
    const ports = offers(rig);
    assert.ok(ports > 0 && ports < 128, String(ports));
    for (let i = 0; i < ports; i++) {
      const each = new Connection({ sourcePort: 1_024 + i });
      each.heard(await rig.one(each.up(SYN)));
      // A made-up client acknowledges nothing of what the endpoint says.
      if (i % 2 === 0) await rig.one(each.down(SYN | ACK));
    }
    // What was kept for the slow path serves those that come then.
    await rig.one(new Connection({ sourcePort: 50_000 }).up(SYN));
    rig.clock.advance(1_500);
    assert.equal(event(rig, "embryos-evicted"), ports);
    const alone = rigOf();
    await alone.one(new Connection().up(SYN));
    alone.clock.advance(14_000);
    assert.equal(alone.fastPath.flowCount, 2);
    alone.clock.advance(3_000);
    assert.equal(alone.fastPath.flowCount, 0);
  });
});

describe("offers", () => {
  test("are made at once when a SYN finds none: those behind it need no slow path", async () => {
    const rig = rigOf();
    const before = rig.punts;
    const waiting = offers(rig);
    for (let i = 0; i <= waiting; i++) await rig.one(new Connection({ sourcePort: 1_024 + i }).up(SYN));
    assert.deepEqual([rig.punts, offers(rig)], [before + 1, 8 * waiting]);
    for (let i = 0; i < 100; i++) await rig.one(new Connection({ sourcePort: 10_000 + i }).up(SYN));
    assert.equal(rig.punts, before + 1);
  });

  test("are of NAT ports that nobody had rather than of those that an endpoint may remember", async () => {
    const clock = new ManualClock();
    const fastPath = new OfferingFastPath({ nowMs: () => clock.nowMs() });
    fastPath.offerCountMax = 16;
    const rig = rigOf([stateless()], { clock, fastPath });
    const portsOf = async (count: number) => {
      const ports: (number | undefined)[] = [];
      for (let i = 0; i < count; i++) {
        const connection = new Connection({ sourcePort: 40_000 + i });
        await connection.open(rig);
        await connection.close(rig);
        ports.push(connection.server?.destinationPort);
        clock.advance(100);
      }
      return ports;
    };
    const before = new Set(await portsOf(16));
    assert.equal(before.size, 16);
    clock.advance(31_000);
    assert.ok((await portsOf(48)).every((port) => !before.has(port)));
  });

  test("go to endpoints by the service's selection, and are withdrawn when one is called down", async () => {
    const rig = rigOf([stateless({ endpoints: [endpoint(SERVER), endpoint(OTHER)] })]);
    const seen = new Map<string, number>();
    const begin = async (sourcePort: number) => {
      const { destination } = await rig.one(new Connection({ sourcePort }).up(SYN));
      seen.set(destination, (seen.get(destination) ?? 0) + 1);
    };
    for (let i = 0; i < 20; i++) await begin(40_000 + i);
    assert.deepEqual([seen.get(SERVER), seen.get(OTHER)], [10, 10]);
    rig.forwarder.plain.proven[0]?.health.setOwn({ address: SERVER, port: SERVER_PORT }, "down", "test", 0);
    seen.clear();
    for (let i = 0; i < 5; i++) await begin(41_000 + i);
    rig.clock.advance(200);
    for (let i = 0; i < 5; i++) await begin(42_000 + i);
    assert.deepEqual([...seen], [[OTHER, 10]]);
  });

  test("are there for VIPs that this member has, and while the service stands; what lives is handed over", async () => {
    const rig = rigOf();
    rig.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    const connection = new Connection();
    await connection.open(rig);
    rig.forwarder.setOwnership([{ vip: VIP, owned: false }]);
    assert.deepEqual([...rig.view.values()].map(plainPhase), ["established"]);
    assert.equal(offers(rig), 0);
    rig.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    rig.clock.advance(2_000);
    assert.ok(offers(rig) > 0);
    rig.forwarder.setServices([plainService(PROTOCOL_TCP)]);
    assert.equal(offers(rig), 0);
    rig.clock.advance(2_000);
    const before = rig.punts;
    await rig.one(new Connection({ sourcePort: 40_001 }).up(SYN));
    assert.equal(rig.punts, before + 1);
    assert.equal((await rig.one(connection.up(ACK, "on"))).payload, "on");
  });

  test("are for clients that have opened a connection, and not for whoever sends a SYN", async () => {
    const clock = new ManualClock();
    const fastPath = new OfferingFastPath({ nowMs: () => clock.nowMs() });
    fastPath.offerCountMax = 0;
    const rig = rigOf([stateless()], { clock, fastPath });
    const connection = new Connection();
    connection.heard(await rig.one(connection.up(SYN)));
    await rig.one(connection.down(SYN | ACK));
    assert.deepEqual(fastPath.met, []);
    await rig.one(connection.up(ACK));
    assert.deepEqual(fastPath.met, [connection.ends.source]);
  });

  test("are as many as the fast path has room for, and no port is held for more", async () => {
    const clock = new ManualClock();
    const fastPath = new OfferingFastPath({ nowMs: () => clock.nowMs() });
    fastPath.offerCountMax = 40;
    const rig = rigOf([stateless()], { clock, fastPath });
    assert.equal(offers(rig), 40);
    const percent = gauge(rig, "tcp-nat-ports-percent");
    for (let i = 0; i < 40; i++) await new Connection({ sourcePort: 40_000 + i }).open(rig);
    rig.clock.advance(500);
    assert.equal(offers(rig), 40);
    assert.ok((gauge(rig, "tcp-nat-ports-percent") ?? 100) <= (percent ?? 0) + 1);
  });

  test("of an earlier daemon: connections go on, and become sessions", async () => {
    const clock = new ManualClock();
    const fastPath = new OfferingFastPath({ nowMs: () => clock.nowMs() });
    const before = rigOf([stateless()], { clock, fastPath });
    const connection = new Connection();
    await connection.open(before);
    await before.one(new Connection({ sourcePort: 40_001 }).up(SYN));
    before.forwarder.stop();
    const after = rigOf([stateless()], { clock, fastPath });
    clock.advance(7_000);
    assert.deepEqual([after.phases(), fastPath.flowCount], [["established"], 2]);
    assert.equal((await after.one(connection.up(ACK, "on"))).payload, "on");
  });
});

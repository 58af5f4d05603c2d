// Handshakes that the fast path ends by itself, and what the slow path knows of them when.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Address, PROTOCOL_TCP, plainPhase, type Service } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import type { Punt } from "../../fast-path/port.ts";
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
  SYN,
  VIP,
} from "../../testing/plain.ts";

const services = [plainService(PROTOCOL_TCP)];
const opened = (rig: PlainRig) => rig.forwarder.counters().events.get("connections-opened");

/** Copies of the packets that end handshakes get lost, and nobody goes through the flows. */
class Deaf extends SimulatedFastPath {
  override onPunt(listener: (punt: Punt) => void): void {
    super.onPunt((punt) => {
      if (punt.reason !== "learn") listener(punt);
    });
  }
}

function deafRig(
  changes: Partial<Service> = {},
  limits: PlainRigOptions["limits"] = {},
  options: Partial<PlainRigOptions> = {},
): PlainRig {
  const clock = new ManualClock();
  const rig = new PlainRig({
    ...options,
    services: [plainService(PROTOCOL_TCP, changes)],
    ...{ clock, fastPath: new Deaf({ nowMs: () => clock.nowMs() }) },
    limits: { sweepPeriodMs: 1e9, ...limits },
  });
  // The first sweep is at once.
  clock.advance(200);
  return rig;
}

/** Up to the endpoint's SYN-ACK. */
async function answered(rig: PlainRig, connection = new Connection()): Promise<Connection> {
  connection.heard(await rig.one(connection.up(SYN)));
  await rig.one(connection.down(SYN | ACK));
  return connection;
}

describe("the client's acknowledgment of the endpoint's SYN", () => {
  test("opens the connection in the fast path; the slow path gets one copy, and no packet after it", async () => {
    const rig = new PlainRig({ services });
    const connection = await answered(rig);
    const before = rig.punts;
    const installs = rig.forwarder.counters().events.get("flow-installs");
    assert.equal((await rig.one(connection.up(ACK))).flags, ACK);
    assert.deepEqual([rig.phases(), opened(rig)], [["established"], 1]);
    assert.equal((await rig.one(connection.up(ACK, "question"))).payload, "question");
    assert.equal((await rig.one(connection.down(ACK, "answer"))).payload, "answer");
    assert.equal(rig.punts, before + 1);
    assert.equal(rig.forwarder.counters().events.get("flow-installs"), installs);
    assert.equal(rig.fastPath.totals().get("punt.learn"), 1);
    assert.equal(rig.fastPath.totals().get("punt.handshake"), undefined);
  });

  test("may be lost, and its first data open it; may come with data; the endpoint may repeat itself", async () => {
    const rig = new PlainRig({ services });
    const connection = await answered(rig);
    connection.up(ACK);
    assert.equal((await rig.one(connection.up(ACK, "early"))).payload, "early");
    assert.equal(rig.fastPath.totals().get("punt.learn"), 1);
    assert.deepEqual(rig.phases(), ["established"]);
    connection.serverNext -= 1;
    assert.equal((await rig.one(connection.down(SYN | ACK))).flags, SYN | ACK);
    assert.equal((await rig.one(connection.up(ACK, "on"))).payload, "on");
    assert.equal((await rig.one(connection.down(ACK, "too"))).payload, "too");
    assert.equal(rig.fastPath.totals().get("punt.handshake"), undefined);
  });

  test("that is another one's, or ends something, is for the slow path to judge", async () => {
    const rig = new PlainRig({ services });
    const connection = await answered(rig);
    const forged = new Connection({}, 1_001, 12_345);
    assert.deepEqual(await rig.pass(forged.up(ACK, "x")), []);
    assert.deepEqual([rig.phases(), rig.drops()["wrong-phase"]], [["opening"], 1]);
    assert.equal((await rig.one(connection.up(FIN | ACK))).flags, FIN | ACK);
    assert.equal(rig.fastPath.totals().get("punt.learn"), undefined);
    assert.equal((await rig.one(connection.down(ACK, "rest"))).payload, "rest");
    rig.clock.advance(3_000);
    assert.deepEqual(rig.phases(), ["closing"]);
  });

  test("from the wire, while the endpoint is told who the client is, stays with the slow path", async () => {
    const rig = new PlainRig({ services: [plainService(PROTOCOL_TCP, { proxyProtocol: true })] });
    const connection = await answered(rig);
    assert.equal((await rig.one(connection.up(ACK))).payload.length, 28);
    assert.equal(rig.fastPath.totals().get("punt.learn"), undefined);
  });

  test("opens it while the daemon is away", async () => {
    const clock = new ManualClock();
    const fastPath = new SimulatedFastPath({ nowMs: () => clock.nowMs() });
    const rig = new PlainRig({ services, clock, fastPath });
    const connection = await answered(rig);
    rig.forwarder.stop();
    fastPath.onPunt(({ copy }) => assert.ok(copy, "no packet needs a daemon"));
    assert.equal((await rig.one(connection.up(ACK))).flags, ACK);
    assert.equal((await rig.one(connection.down(ACK, "hello"))).payload, "hello");
  });
});

describe("a handshake whose end the slow path has not heard of", () => {
  test("is found by whoever goes through the flows, and is known to others as any open connection", async () => {
    const rig = deafRig({}, { sweepPeriodMs: 1_000 });
    const connection = await answered(rig);
    await rig.one(connection.up(ACK));
    assert.deepEqual(rig.phases(), ["opening"]);
    rig.clock.advance(3_000);
    assert.deepEqual([rig.phases(), opened(rig)], [["established"], 1]);
  });

  test("does not time out", async () => {
    const rig = deafRig();
    const connection = await answered(rig);
    await rig.one(connection.up(ACK));
    rig.clock.advance(80_000);
    assert.deepEqual([rig.phases(), opened(rig)], [["established"], 1]);
    assert.equal((await rig.one(connection.down(ACK, "late"))).payload, "late");
  });

  test("keeps its NAT port when others have none left", async () => {
    // 63 ports toward an endpoint.
    const rig = deafRig({}, {}, { memberNumberCount: 1_024 });
    const connection = await answered(rig);
    await rig.one(connection.up(ACK));
    for (let i = 0; i < 62; i++) await rig.one(new Connection({ sourcePort: 1_024 + i }).up(SYN));
    assert.deepEqual(await rig.pass(new Connection({ sourcePort: 2_000 }).up(SYN)), []);
    rig.clock.advance(1_100);
    for (let i = 0; i < 62; i++) await rig.one(new Connection({ sourcePort: 3_000 + i }).up(SYN));
    assert.deepEqual(await rig.pass(new Connection({ sourcePort: 4_000 }).up(SYN)), []);
    assert.deepEqual(rig.drops(), { "nat-ports-exhausted": 2 });
    assert.equal(opened(rig), 1);
    assert.equal((await rig.one(connection.up(ACK, "on"))).payload, "on");
  });

  test("is a connection to forged SYNs: one a second goes to the endpoint, and nothing changes", async () => {
    const rig = deafRig();
    const connection = await answered(rig);
    await rig.one(connection.up(ACK));
    const forged = new Connection({}, 0x7000_0000);
    assert.equal((await rig.one(forged.up(SYN))).flags, SYN);
    assert.deepEqual(await rig.pass(forged.up(SYN)), []);
    assert.equal(rig.drops()["syn-rate"], 1);
    assert.equal((await rig.one(connection.down(ACK))).flags, ACK);
    assert.equal((await rig.one(connection.up(ACK, "on"))).payload, "on");
    assert.deepEqual(rig.phases(), ["established"]);
  });

  test("gives its room among the embryos up, and is not evicted", async () => {
    const rig = deafRig({}, { embryoCountMaxPerPrefix: 1 });
    const connection = await answered(rig);
    await rig.one(connection.up(ACK));
    rig.clock.advance(1_500);
    await answered(rig, new Connection({ sourcePort: 40_001 }));
    assert.deepEqual(rig.phases().sort(), ["established", "opening"]);
    assert.equal(rig.forwarder.counters().events.get("embryos-evicted"), 0);
    assert.equal((await rig.one(connection.up(ACK, "still"))).payload, "still");
  });

  test("is told to the others before its VIP is handed over", async () => {
    const rig = deafRig();
    rig.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    const connection = await answered(rig);
    await rig.one(connection.up(ACK));
    rig.forwarder.setOwnership([{ vip: VIP, owned: false }]);
    assert.deepEqual([...rig.view.values()].map(plainPhase), ["established"]);
  });

  test("ends as it was seen to end", async () => {
    const rig = deafRig({}, { sweepPeriodMs: 1_000 });
    const connection = await answered(rig);
    for (const bytes of [connection.up(ACK), connection.up(FIN | ACK), connection.down(FIN | ACK)])
      await rig.one(bytes);
    await rig.one(connection.up(ACK));
    rig.clock.advance(300_000);
    assert.deepEqual([rig.phases(), rig.fastPath.flowCount], [[], 0]);
  });
});

test("what the fast path and the slow path wrote at once is put right by the next packet", async () => {
  const rig = new PlainRig({ services });
  const connection = await answered(rig);
  await rig.one(connection.up(ACK));
  const { plain } = rig.fastPath;
  const source: Address = connection.ends.source;
  const key = { protocol: PROTOCOL_TCP, ...connection.ends, source };
  const up = plain.read(key)?.flow;
  assert.ok(up !== undefined);
  plain.install({ ...up, handshake: true });
  assert.equal((await rig.one(connection.up(ACK, "a"))).payload, "a");
  const before = rig.punts;
  assert.equal((await rig.one(connection.up(ACK, "b"))).payload, "b");
  assert.equal(rig.punts, before);
  const { server } = connection;
  const down = server && plain.read({ protocol: PROTOCOL_TCP, ...server })?.flow;
  assert.ok(down);
  plain.install({ ...down, handshake: true });
  await rig.one(connection.down(ACK, "c"));
  const then = rig.punts;
  assert.equal((await rig.one(connection.down(ACK, "d"))).payload, "d");
  assert.equal(rig.punts, then);
});

test("a handshake whose VIP moves goes on at its new owner, and is known to both", async () => {
  const cluster = new PlainCluster(2, { services });
  const [first, second] = [cluster.rig(0), cluster.rig(1)];
  const connection = await answered(first);
  assert.equal((await second.one(connection.up(ACK))).flags, ACK);
  assert.equal((await first.one(connection.down(ACK, "by the old one"))).payload, "by the old one");
  assert.equal((await first.one(connection.up(ACK, "back"))).payload, "back");
  assert.equal(first.fastPath.totals().get("punt.handshake"), undefined);
  for (const rig of cluster.rigs) assert.deepEqual(rig.phases(), ["established"]);
});

test("a reset of the client's before its acknowledgment ends it", async () => {
  const rig = new PlainRig({ services });
  const connection = await answered(rig);
  assert.equal((await rig.one(connection.up(RST))).flags, RST);
  assert.deepEqual([rig.phases(), rig.fastPath.flowCount], [[], 0]);
});

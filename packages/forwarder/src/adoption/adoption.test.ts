import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Candidate,
  commitOf,
  currentCandidate,
  currentGeneration,
  endOf,
  type Generation,
  isLiving,
  PROTOCOL_SCTP,
  parseAddress,
  type Replication,
  type SessionDelta,
  type SessionRecord,
  SessionView,
  sessionIdOf,
} from "@holdfast/model";
import { ClientHost, EndpointHost } from "../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  settled,
} from "../testing/rig.ts";
import { DOWN, UP, VIP0, VIP1 } from "../testing/usual.ts";

/** The grace passes, the others are asked, and answer. */
async function adopt(rig: Rig): Promise<void> {
  rig.clock.advance(10_000);
  await settled();
  rig.clock.advance(1_000);
}

async function killed() {
  const rig = new Rig();
  const established = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  await rig.one(established.client.data({ source: CLIENT_2, destination: VIP1 }));
  rig.forwarder.stop();
  // The data plane goes on without its daemon.
  await rig.one(established.client.data(UP));
  return { rig, ...established };
}

test("a new daemon takes over flows, handles and counters of sessions that the store brings back", async () => {
  const { rig, client, endpoint, record } = await killed();
  const before = rig.fastPath.flowCount;
  const next = new Rig({ table: rig.table, fastPath: rig.fastPath, clock: rig.clock, seed: 9 });
  assert.equal(next.fastPath.flowCount, before);
  const description = next.forwarder.describe(record.id);
  assert.ok((description?.paths[0]?.up.packets ?? 0) >= 1, "counters go on");
  await next.one(client.data(UP));
  await next.one(endpoint.data(DOWN));
  next.clock.advance(20_000);
  assert.equal(next.event("sessions-adopted"), 0);
  await next.one(client.data(UP));
  assert.equal(next.table.size, 1);
});

test("without a store the sessions are made from the flows, and their NAT ports stay theirs", async () => {
  const { rig, client, endpoint, natPort } = await killed();
  const next = new Rig({ table: new SessionView(), fastPath: rig.fastPath, clock: rig.clock, seed: 9 });
  // Before anything is adopted: a second client with the same port must not get the first one's.
  const init = await next.one(
    new ClientHost(CLIENT_PORT, SERVICE_PORT, 9).init({ source: "100.80.7.7", destination: VIP0 }),
  );
  assert.notEqual(init.packet.sourcePort, natPort);
  await next.one(client.data(UP));
  await adopt(next);
  assert.equal(next.event("sessions-adopted"), 1);
  const record = [...next.table.values()].find((r) => r.commit !== undefined);
  assert.ok(record && isLiving(record));
  assert.equal(record.commit?.clientTag, client.tag);
  assert.equal(currentCandidate(record)?.endpointTag, endpoint.tag);
  assert.deepEqual([...record.clients.keys()].sort(), [CLIENT, CLIENT_2].sort());
  await next.one(client.data(UP));
  await next.one(endpoint.data(DOWN));
  await next.one(endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }));
  next.clock.advance(20_000);
  await next.one(client.data(UP));
  assert.deepEqual(next.drops(), {});
});

test("a client may restart with addresses that no flow told: they are not new", async () => {
  const more = parseAddress("100.80.9.9");
  const rig = new Rig();
  const listed = [CLIENT, CLIENT_2, more];
  const { client } = await rig.establish({ listed });
  rig.forwarder.stop();
  await rig.one(client.data(UP));
  const table = new SessionView();
  const next = new Rig({ table, fastPath: rig.fastPath, clock: rig.clock, seed: 9 });
  await adopt(next);
  const [made] = [...table.values()].filter(isLiving);
  assert.ok(made !== undefined && !made.clients.has(more));
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x99);
  const init = await next.one(again.init(UP, listed));
  assert.equal(init.destination, ENDPOINT);
  const answer = await next.one(new EndpointHost(ENDPOINT_PORT, 0, 0x98).initAck(init));
  again.acceptInitAck(answer);
  await next.one(again.cookieEcho(UP));
  assert.ok(table.get(made.id)?.clients.has(more), "known from here on");
  // Known members of an association that was seen from its beginning: RFC 9260 §5.2.2.
  const known = new Rig();
  await known.establish({ listed: [CLIENT, CLIENT_2] });
  const [refusal] = await known.pass(again.init(UP, listed));
  assert.equal(refusal?.destination, CLIENT);
});

test("the true record takes the place of one that was made from flows", async () => {
  const { rig, client, endpoint, record } = await killed();
  // A restart later than its first INIT, so that the made-up id is another one.
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x99);
  const more = new EndpointHost(ENDPOINT_PORT, 0, 0x98);
  const alive = new Rig({ table: rig.table, fastPath: rig.fastPath, clock: rig.clock, seed: 4 });
  again.acceptInitAck(await alive.one(more.initAck(await alive.one(again.init(UP, [CLIENT, CLIENT_2])))));
  await alive.one(again.cookieEcho(UP));
  await alive.one(more.cookieAck(DOWN));
  alive.forwarder.stop();
  const table = new SessionView();
  const next = new Rig({ table, fastPath: rig.fastPath, clock: rig.clock, seed: 9 });
  await adopt(next);
  const made = [...table.values()].find((r) => r.commit !== undefined);
  assert.ok(made);
  assert.notEqual(made.id, record.id);
  const truth = rig.table.get(record.id);
  assert.ok(truth);
  table.joinRemote(truth);
  assert.equal(table.get(made.id)?.end?.cause, "superseded");
  assert.ok(isLiving(table.get(record.id) as typeof record));
  assert.equal((await next.one(again.data(UP))).tag, more.tag);
  assert.equal((await next.one(more.data(DOWN))).tag, again.tag);
  assert.notEqual(again.tag, client.tag);
  assert.notEqual(more.tag, endpoint.tag);
});

test("flows of services that are gone are removed after the grace", async () => {
  const { rig } = await killed();
  const next = new Rig({
    table: new SessionView(),
    fastPath: rig.fastPath,
    clock: rig.clock,
    services: [serviceOf({ id: "sctp/203.0.113.9:1", vips: ["203.0.113.9"], port: 1 })],
  });
  assert.ok(next.fastPath.flowCount > 0);
  next.clock.advance(10_000);
  assert.equal(next.fastPath.flowCount, 0);
});

test("a NAT port that flows kept is given back when their session turns out to have ended meanwhile", async () => {
  const { rig, record } = await killed();
  // It ended while this member had no daemon; its tombstone is known before the flows are looked at.
  const table = new SessionView();
  table.joinRemote({ ...record, end: endOf(record, "shutdown") });
  const next = new Rig({ table, fastPath: rig.fastPath, clock: rig.clock, seed: 9 });
  const before = next.forwarder.counters();
  assert.equal(before.natPortsUsed + before.natPortsResting, 1, "while flows carry it nobody gets it");
  await adopt(next);
  assert.equal(next.fastPath.flowCount, 0);
  const { natPortsUsed, natPortsResting } = next.forwarder.counters();
  assert.deepEqual([natPortsUsed, natPortsResting], [0, 1]);
});

/** A daemon without a store over the flows of one that was killed; the others know `answer`. */
async function adoptedAmong(
  answer: (record: SessionRecord) => SessionDelta,
): Promise<{ readonly next: Rig; readonly flowCount: number; readonly questions: number }> {
  const { rig, record } = await killed();
  const flowCount = rig.fastPath.flowCount;
  const table = new SessionView();
  let questions = 0;
  const replication: Replication = {
    released: () => Promise.resolve(true),
    ask: (question) => {
      questions++;
      assert.equal(question.kind, "natPort");
      // Its name is of an address that no flow here knows.
      const id = sessionIdOf(record.serviceId, record.clientPort, 1, "1.2.3.4", []);
      table.joinRemote({ ...answer(record), id });
      return Promise.resolve(true);
    },
  };
  const next = new Rig({ table, fastPath: rig.fastPath, clock: rig.clock, replication, seed: 9 });
  assert.equal(next.fastPath.flowCount, flowCount);
  await adopt(next);
  return { next, flowCount, questions };
}

test("a session that ended meanwhile is not made again, whatever its name", async () => {
  const { next, questions } = await adoptedAmong((record) => ({ ...record, end: endOf(record, "shutdown") }));
  assert.equal(questions, 1);
  assert.equal(next.event("sessions-adopted"), 0);
  assert.deepEqual([...next.table.values()].filter(isLiving), []);
  assert.equal(next.fastPath.flowCount, 0);
});

test("flows of a generation that was superseded meanwhile go; its session has its own", async () => {
  const { next } = await adoptedAmong((record) => {
    const before = currentGeneration(record) as Generation;
    const later = { ...before, clientTag: 0x99, ordinal: 2 };
    return {
      ...record,
      generations: new Map([before, later].map((generation) => [generation.clientTag, generation])),
      commit: { ...commitOf(record, 0x99, currentCandidate(record) as Candidate), generation: later },
    };
  });
  assert.equal(next.event("sessions-adopted"), 0);
  const [record, ...others] = [...next.table.values()];
  assert.deepEqual(others, []);
  assert.equal(record?.commit?.clientTag, 0x99);
  assert.ok(next.fastPath.flowCount > 0);
});

test("a session that only another member knows claims its flows with the answer", async () => {
  const { next, flowCount } = await adoptedAmong((record) => record);
  assert.equal(next.event("sessions-adopted"), 0);
  assert.equal(next.table.size, 1);
  assert.equal(next.fastPath.flowCount, flowCount);
});

test("old INITs in the ring are discarded", async () => {
  const rig = new Rig();
  const { SimulatedFastPath } = await import("../fast-path/simulated/simulated-fast-path.ts");
  const fastPath = new SimulatedFastPath({ nowMs: () => rig.clock.nowMs() });
  fastPath.setLocal([
    { address: VIP0, owned: true, ports: [{ protocol: PROTOCOL_SCTP, port: SERVICE_PORT }] },
  ]);
  fastPath.inject(new ClientHost(CLIENT_PORT, SERVICE_PORT, 1).init(UP));
  rig.clock.advance(5_000);
  const next = new Rig({ fastPath, clock: rig.clock });
  assert.deepEqual(next.taken(), []);
  assert.equal(next.drops()["init-too-old"], 1);
});

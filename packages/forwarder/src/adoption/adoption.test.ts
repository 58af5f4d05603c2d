import assert from "node:assert/strict";
import { test } from "node:test";
import { currentCandidate, endOf, isLiving, SessionView } from "@holdfast/model";
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
  VIPS,
} from "../testing/rig.ts";

const [VIP0, VIP1] = VIPS as [string, string];
const UP = { source: CLIENT, destination: VIP0 };
const DOWN = { source: ENDPOINT, destination: VIP0 };

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
  next.clock.advance(10_000);
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
  next.clock.advance(10_000);
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
  next.clock.advance(10_000);
  assert.equal(next.fastPath.flowCount, 0);
  const { natPortsUsed, natPortsResting } = next.forwarder.counters();
  assert.deepEqual([natPortsUsed, natPortsResting], [0, 1]);
});

test("old INITs in the ring are discarded", async () => {
  const rig = new Rig();
  const { SimulatedFastPath } = await import("../fast-path/simulated/simulated-fast-path.ts");
  const fastPath = new SimulatedFastPath({ nowMs: () => rig.clock.nowMs() });
  fastPath.setLocal([{ address: VIP0, owned: true, ports: [SERVICE_PORT] }]);
  fastPath.inject(new ClientHost(CLIENT_PORT, SERVICE_PORT, 1).init(UP));
  rig.clock.advance(5_000);
  const next = new Rig({ fastPath, clock: rig.clock });
  assert.deepEqual(next.taken(), []);
  assert.equal(next.drops()["init-too-old"], 1);
});

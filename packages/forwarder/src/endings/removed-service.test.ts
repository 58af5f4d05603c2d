// What a removal of a whole service means to its associations, however many they are and wherever they stand.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Service } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import { ClientHost, EndpointHost } from "../testing/hosts.ts";
import {
  CLIENT,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  Rig,
  type RigOptions,
  SERVICE_PORT,
  serviceOf,
  settled,
  VIPS,
} from "../testing/rig.ts";
import { endpointAt, VIP0 } from "../testing/usual.ts";

test("all clients of a removed service are told, also when they are more than one turn holds", async () => {
  const rig = new Rig();
  rig.forwarder.setOwnership(VIPS.map((vip) => ({ vip, owned: true })));
  const count = 300;
  const tags = new Set<number>();
  for (let i = 0; i < count; i++) {
    const client = new ClientHost(10_000 + i, SERVICE_PORT, 0x1000_0000 + i);
    tags.add(client.tag);
    await rig.establish({ client, endpoint: new EndpointHost(ENDPOINT_PORT, 0, 0x2000_0000 + i) });
  }
  rig.taken();
  rig.forwarder.setServices([]);
  // Nobody owns what no service has.
  rig.forwarder.setOwnership([]);
  rig.clock.advance(100);
  const left = rig.taken();
  const told = new Set(left.filter((seen) => seen.destination === CLIENT).map((seen) => seen.tag));
  assert.equal(told.size, count);
  assert.ok([...told].every((tag) => tags.has(tag)));
  assert.equal(left.filter((seen) => seen.destination === ENDPOINT).length, count);
  assert.ok(left.every((seen) => seen.types[0] === CHUNK.ABORT));
});

test("a handshake with an endpoint that is removed meanwhile is refused, not left hanging", async () => {
  const rig = new Rig();
  const client = new ClientHost(36_000, SERVICE_PORT, 0x1111_0001);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x2222_0001);
  const route = { source: CLIENT, destination: VIP0 };
  client.acceptInitAck(await rig.one(endpoint.initAck(await rig.one(client.init(route)))));
  await rig.one(client.cookieEcho(route));
  rig.forwarder.setServices([serviceOf({ endpoints: [endpointAt(OTHER_ENDPOINT)] })]);
  rig.clock.advance(100);
  const told = rig.taken().filter((seen) => seen.destination === CLIENT);
  assert.deepEqual(
    told.map((seen) => [seen.tag, seen.types[0]]),
    VIPS.map(() => [client.tag, CHUNK.ABORT]),
  );
  // A new beginning, at an endpoint that is there.
  const again = await rig.one(new ClientHost(36_000, SERVICE_PORT, 0x1111_0002).init(route));
  assert.equal(again.destination, OTHER_ENDPOINT);
});

test("an unanswered INIT moves on when its endpoint is removed", async () => {
  const rig = new Rig();
  const client = new ClientHost(36_000, SERVICE_PORT, 0x1111_0001);
  const route = { source: CLIENT, destination: VIP0 };
  await rig.one(client.init(route));
  rig.forwarder.setServices([serviceOf({ endpoints: [endpointAt(OTHER_ENDPOINT)] })]);
  rig.taken();
  assert.equal((await rig.one(client.init(route))).destination, OTHER_ENDPOINT);
});

/** A member that starts anew, with the records of an earlier run and another configuration. */
async function restarted(services: readonly Service[], options: RigOptions = {}) {
  const rig = new Rig();
  const { client, record } = await rig.establish();
  rig.forwarder.stop();
  const next = new Rig({ table: rig.table, clock: rig.clock, services, ...options });
  assert.equal(next.forwarder.counters().natPortsUsed, 1);
  return { next, client, record };
}

test("a service that went while nobody ran leaves no sessions and no NAT ports behind", async () => {
  const { next, record } = await restarted([]);
  next.clock.advance(20_000);
  assert.equal(next.table.get(record.id)?.end, undefined, "its configuration may be on its way");
  next.clock.advance(20_000);
  assert.equal(next.table.get(record.id)?.end?.cause, "endpointRemoved");
  const { natPortsUsed, natPortsResting } = next.forwarder.counters();
  assert.deepEqual([natPortsUsed, natPortsResting], [0, 1]);
});

test("the client of an endpoint that went while nobody ran is told", async () => {
  const { next, client, record } = await restarted([serviceOf({ endpoints: [endpointAt(OTHER_ENDPOINT)] })]);
  next.clock.advance(40_000);
  assert.equal(next.table.get(record.id)?.end?.cause, "endpointRemoved");
  const told = next.taken().filter((seen) => seen.destination === CLIENT);
  assert.ok(
    told.length > 0 && told.every((seen) => seen.tag === client.tag && seen.types[0] === CHUNK.ABORT),
  );
});

test("a configuration that comes late costs nobody an association", async () => {
  const { next, record } = await restarted([]);
  next.clock.advance(25_000);
  next.forwarder.setServices([serviceOf()]);
  next.clock.advance(60_000);
  assert.equal(next.table.get(record.id)?.end, undefined);
});

test("a service that is merely unknown here keeps its sessions, for as long as it takes", async () => {
  const { next, record } = await restarted([], { isRemoved: () => false });
  next.clock.advance(300_000);
  assert.equal(next.table.get(record.id)?.end, undefined);
  assert.equal(next.event("sessions-stray"), 0);
});

test("a service that vanishes from a member's list without having been deleted ends nothing", async () => {
  const rig = new Rig({ isRemoved: () => false });
  const { record, client, endpoint } = await rig.establish();
  rig.forwarder.setServices([]);
  rig.clock.advance(100);
  assert.deepEqual(rig.taken(), []);
  assert.equal(rig.table.get(record.id)?.end, undefined);
  rig.forwarder.setServices([serviceOf()]);
  const seen = await rig.one(client.data({ source: CLIENT, destination: VIP0 }));
  assert.deepEqual([seen.destination, seen.tag], [ENDPOINT, endpoint.tag]);
});

test("strays of a deleted service end when a majority says so, and not before", async () => {
  let isAgreed = false;
  const asked: unknown[] = [];
  const { next, record } = await restarted([], {
    confirmRemoved: async (places) => {
      asked.push(...places);
      return isAgreed ? places : [];
    },
  });
  next.clock.advance(40_000);
  await settled();
  assert.deepEqual(asked, [{ serviceId: record.serviceId }]);
  assert.equal(next.table.get(record.id)?.end, undefined, "one member spoke for all");
  isAgreed = true;
  next.clock.advance(40_000);
  await settled();
  assert.equal(next.table.get(record.id)?.end?.cause, "endpointRemoved");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, isLiving } from "@holdfast/model";
import { CAUSE, CHUNK, type Chunk, parseCauses } from "@holdfast/sctp";
import { Cluster } from "../testing/cluster.ts";
import { ClientHost, EndpointHost } from "../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  VIPS,
} from "../testing/rig.ts";
import { DOWN, endpointAt, UP, VIP0, VIP1 } from "../testing/usual.ts";

const PLACE = { address: ENDPOINT, port: ENDPOINT_PORT } as const;
const other = serviceOf({
  endpoints: [endpointAt(OTHER_ENDPOINT)],
});

test("the client of a removed endpoint is told on every verified path, at once, with its own tag", async () => {
  const rig = new Rig();
  const { client, record } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  await rig.one(client.data({ source: CLIENT_2, destination: VIP1 }));
  rig.forwarder.setServices([other]);
  const aborts = rig.taken();
  const told = aborts.filter((seen) => seen.destination !== ENDPOINT);
  assert.deepEqual(
    told.map((seen) => `${seen.source} ${seen.destination}`).sort(),
    [VIP0, VIP1].flatMap((vip) => [CLIENT, CLIENT_2].map((c) => `${vip} ${c}`)).sort(),
  );
  for (const seen of told) {
    assert.deepEqual(seen.types, [CHUNK.ABORT]);
    assert.equal(seen.tag, client.tag);
    const causes = parseCauses(seen.packet.chunks[0] as Chunk);
    assert.ok(Array.isArray(causes));
    assert.equal(causes[0]?.type, CAUSE.USER_INITIATED_ABORT);
  }
  assert.equal(aborts.length - told.length, 1, "the endpoint is told once");
  assert.equal(rig.table.get(record.id)?.end?.cause, "endpointRemoved");
  // Back at once, elsewhere.
  const init = await rig.one(new ClientHost(CLIENT_PORT, SERVICE_PORT, 2).init(UP));
  assert.equal(init.destination, OTHER_ENDPOINT);
});

test("an endpoint that is down for a moment costs nobody an association; one that stays down does", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish();
  rig.clock.advance(5_000);
  rig.forwarder.setVerdict(PLACE, "down", "test");
  rig.clock.advance(2_000);
  rig.forwarder.setVerdict(PLACE, "up", "test");
  rig.clock.advance(10_000);
  assert.ok(isLiving(rig.table.get(record.id) as typeof record));
  assert.deepEqual(rig.taken(), []);
  // Probes fail, but the association's own traffic comes back.
  rig.forwarder.setVerdict(PLACE, "down", "test");
  rig.clock.advance(1_500);
  await rig.one(endpoint.data(DOWN));
  rig.clock.advance(5_000);
  assert.ok(isLiving(rig.table.get(record.id) as typeof record));
  rig.forwarder.setVerdict(PLACE, "up", "test");
  rig.forwarder.setVerdict(PLACE, "down", "test");
  await rig.one(client.data(UP));
  rig.clock.advance(4_000);
  const told = rig.taken();
  assert.ok(told.length > 0);
  for (const seen of told) assert.deepEqual([seen.types, seen.tag], [[CHUNK.ABORT], client.tag]);
  assert.equal(rig.table.get(record.id)?.end?.cause, "endpointDown");
  assert.equal(rig.events.filter((e) => e.kind === "endpointDead").length, 2);
});

test("a member that alone sees an endpoint down tells nobody", async () => {
  const rig = new Rig();
  const { record } = await rig.establish();
  rig.forwarder.setOtherVerdict("b", PLACE, "up");
  rig.forwarder.setOtherVerdict("c", PLACE, "up");
  rig.forwarder.setVerdict(PLACE, "down", "test");
  rig.clock.advance(60_000);
  assert.ok(isLiving(rig.table.get(record.id) as typeof record));
  // Nor does one that is told so by the others, but reaches it itself.
  rig.forwarder.setVerdict(PLACE, "up", "test");
  rig.forwarder.setOtherVerdict("b", PLACE, "down");
  rig.forwarder.setOtherVerdict("c", PLACE, "down");
  rig.clock.advance(60_000);
  assert.ok(isLiving(rig.table.get(record.id) as typeof record));
});

test("five hundred associations of a dead endpoint are told within a second", async () => {
  const rig = new Rig({ services: [serviceOf({ idleTimeoutS: 90_000 })] });
  for (let i = 0; i < 500; i++) {
    await rig.establish({
      client: new ClientHost(CLIENT_PORT, SERVICE_PORT, 100 + i),
      endpoint: new EndpointHost(ENDPOINT_PORT, 0, 5_000 + i),
      source: `100.80.${1 + (i >> 8)}.${i & 0xff}`,
    });
  }
  rig.clock.advance(1_000);
  rig.forwarder.setVerdict(PLACE, "down", "test");
  rig.clock.advance(3_200);
  rig.clock.advance(1_000);
  assert.equal(new Set(rig.taken().map((seen) => seen.destination)).size, 500);
  assert.equal(rig.fastPath.flowCount, 0);
});

test("a multi-homed endpoint: each VIP has its own address, and another is used when one is down", async () => {
  const second = "192.0.2.120";
  const addresses: readonly Address[] = [ENDPOINT, second];
  const rig = new Rig({
    services: [
      serviceOf({
        endpoints: [{ address: ENDPOINT, addresses, port: ENDPOINT_PORT, weight: 1, state: "active" }],
      }),
    ],
  });
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 1);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 2);
  const init = await rig.one(client.init(UP, [CLIENT_2]));
  assert.equal(init.destination, ENDPOINT);
  client.acceptInitAck(await rig.one(endpoint.initAck(init, { source: second, listed: addresses })));
  await rig.one(client.cookieEcho(UP));
  await rig.one(endpoint.cookieAck({ source: second, destination: VIP0 }));
  const punts = rig.event("punts");
  for (const source of addresses)
    assert.equal((await rig.one(endpoint.data({ source, destination: VIP0 }))).destination, CLIENT);
  assert.equal((await rig.one(client.data(UP))).destination, ENDPOINT);
  assert.equal(rig.event("punts"), punts, "flows of both addresses are installed");
  const UP1 = { source: CLIENT_2, destination: VIPS[1] as Address } as const;
  assert.equal(
    (await rig.one(client.heartbeat(UP1))).destination,
    second,
    "the second VIP has the second address",
  );
  rig.forwarder.setVerdict({ address: second, port: ENDPOINT_PORT }, "up", "test");
  rig.forwarder.setVerdict(PLACE, "down", "test");
  assert.equal((await rig.one(client.data(UP))).destination, second);
  // It is not dead while one address answers; who begins now begins there, and knows it.
  rig.clock.advance(30_000);
  assert.equal((await rig.one(client.data(UP))).destination, second);
  const newcomer = await rig.establish({
    client: new ClientHost(40_000, SERVICE_PORT, 9),
    endpoint: new EndpointHost(ENDPOINT_PORT, 0, 10),
  });
  assert.equal((await rig.one(newcomer.client.data(UP))).destination, second);
  rig.forwarder.setVerdict(PLACE, "up", "test");
  assert.equal((await rig.one(client.data(UP))).destination, ENDPOINT);
});

test("clients of an endpoint whose host has no SCTP any more are told in a fraction of a second", async () => {
  const rig = new Rig();
  const { client, record } = await rig.establish();
  rig.clock.advance(5_000);
  rig.forwarder.setVerdict(PLACE, "down", "refused", false);
  rig.clock.advance(100);
  rig.forwarder.setVerdict(PLACE, "down", "refused", true);
  assert.deepEqual(rig.taken(), []);
  rig.clock.advance(300);
  const told = rig.taken();
  assert.ok(told.length > 0);
  for (const seen of told) assert.deepEqual([seen.types, seen.tag], [[CHUNK.ABORT], client.tag]);
  assert.equal(rig.table.get(record.id)?.end?.cause, "endpointDown");
});

test("an endpoint that one half of a partition calls dead and the other hears keeps its associations when they meet", async () => {
  const cluster = new Cluster(2);
  const [far, near] = [cluster.rig(0), cluster.rig(1)];
  const { client, endpoint, record } = await near.establish();
  near.forwarder.setVerdict(PLACE, "up", "test");
  cluster.connected = false;
  far.forwarder.setVerdict(PLACE, "down", "test");
  cluster.clock.advance(10_000);
  assert.equal(far.table.get(record.id)?.end?.cause, "endpointDown");
  far.taken();
  cluster.deliver();
  cluster.deliver();
  assert.deepEqual(near.taken(), [], "nobody is told");
  assert.equal(near.event("endpoint-deaths-denied"), 1);
  for (const rig of cluster.rigs) {
    assert.ok(isLiving(rig.table.get(record.id) as typeof record));
    assert.equal((await rig.one(client.data(UP))).tag, endpoint.tag);
    assert.equal((await rig.one(endpoint.data(DOWN))).tag, client.tag);
  }
});

test("a client whose endpoint is dead does not bring the session back, and is not killed for it; the endpoint does", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish();
  rig.clock.advance(5_000);
  rig.forwarder.setVerdict(PLACE, "down", "test");
  rig.clock.advance(4_000);
  assert.ok(rig.taken().length > 0);
  // It may be one of those that another member serves, whom nobody could ask.
  assert.deepEqual(await rig.pass(client.data(UP)), []);
  assert.equal(rig.drops()["session-ended"], 1);
  assert.ok(!isLiving(rig.table.get(record.id) as typeof record));
  assert.equal((await rig.one(endpoint.data(DOWN))).tag, client.tag);
  assert.ok(isLiving(rig.table.get(record.id) as typeof record));
});

test("a host that refuses probes but speaks to some of its clients is overloaded, and costs nobody an association", async () => {
  const rig = new Rig();
  const { record: silent } = await rig.establish();
  const { endpoint, record: loud } = await rig.establish({
    client: new ClientHost(CLIENT_PORT, SERVICE_PORT, 3),
    endpoint: new EndpointHost(ENDPOINT_PORT, 0, 4),
    source: CLIENT_2,
  });
  const down = async () => {
    await rig.one(endpoint.data(DOWN));
    rig.clock.advance(100);
  };
  rig.clock.advance(5_000);
  rig.forwarder.setVerdict(PLACE, "down", "refused", false);
  for (let i = 0; i < 20; i++) {
    await down();
    // Its socket is full now and then, and full at each probe.
    rig.forwarder.setVerdict(PLACE, "down", "refused", true);
  }
  for (const { id } of [silent, loud]) assert.ok(isLiving(rig.table.get(id) as typeof silent));
  assert.deepEqual(rig.taken(), []);
  // Then nothing is heard of it any more. Who has heard it since the verdict fell may hear it again.
  rig.clock.advance(400);
  assert.equal(rig.table.get(silent.id)?.end?.cause, "endpointDown");
  assert.ok(rig.taken().length > 0);
});

test("a member that hears an endpoint denies its death even when its own probes are refused", async () => {
  const cluster = new Cluster(2);
  const [deaf, near] = [cluster.rig(0), cluster.rig(1)];
  const { endpoint, record } = await near.establish();
  cluster.deliver();
  cluster.clock.advance(5_000);
  for (const [rig, other] of [
    [deaf, "b"],
    [near, "a"],
  ] as const) {
    rig.forwarder.setVerdict(PLACE, "down", "refused", true);
    rig.forwarder.setOtherVerdict(other, PLACE, "down");
  }
  for (let i = 0; i < 10; i++) {
    cluster.clock.advance(50);
    await near.one(endpoint.data(DOWN));
  }
  assert.equal(deaf.table.get(record.id)?.end?.cause, "endpointDown", "it carries none of the traffic");
  cluster.deliver();
  cluster.deliver();
  for (const rig of cluster.rigs) assert.ok(isLiving(rig.table.get(record.id) as typeof record));
  assert.equal(near.event("endpoint-deaths-denied"), 1);
});

test("a member that hears an endpoint its probes call down says so, and one that hears nothing tells nobody", async () => {
  const cluster = new Cluster(2);
  const [deaf, near] = [cluster.rig(0), cluster.rig(1)];
  near.forwarder.onVerdict(({ address, port, verdict, speaks }) =>
    deaf.forwarder.setOtherVerdict("b", { address, port }, verdict, speaks),
  );
  deaf.forwarder.onVerdict(({ address, port, verdict, speaks }) =>
    near.forwarder.setOtherVerdict("a", { address, port }, verdict, speaks),
  );
  const { endpoint, record } = await near.establish();
  cluster.clock.advance(5_000);
  for (const rig of cluster.rigs) rig.forwarder.setVerdict(PLACE, "down", "refused", true);
  for (let i = 0; i < 20; i++) {
    // Between two looks of the housekeeping: what came with the verdict itself is not younger than it.
    cluster.clock.advance(50);
    await near.one(endpoint.data(DOWN));
    cluster.clock.advance(50);
    for (const rig of cluster.rigs) rig.forwarder.setVerdict(PLACE, "down", "refused", true);
  }
  for (const rig of cluster.rigs) {
    assert.ok(isLiving(rig.table.get(record.id) as typeof record));
    assert.deepEqual(rig.taken(), []);
  }
  assert.equal(near.event("endpoint-deaths-denied"), 0, "nobody had to");
  // It falls silent for both.
  for (let i = 0; i < 10; i++) {
    cluster.clock.advance(100);
    for (const rig of cluster.rigs) rig.forwarder.setVerdict(PLACE, "down", "refused", true);
  }
  assert.equal(deaf.table.get(record.id)?.end?.cause, "endpointDown");
});

test("a refusal that is older than the wait is not believed: the endpoint is asked again first", async () => {
  const rig = new Rig();
  const { record } = await rig.establish();
  rig.clock.advance(5_000);
  rig.forwarder.setOtherVerdict("b", PLACE, "up");
  rig.forwarder.setVerdict(PLACE, "down", "refused", false);
  rig.forwarder.setVerdict(PLACE, "down", "refused", true);
  rig.clock.advance(700);
  // The last member of a majority says so late; its host has started an endpoint meanwhile.
  rig.forwarder.setOtherVerdict("b", PLACE, "down");
  rig.clock.advance(500);
  assert.ok(isLiving(rig.table.get(record.id) as typeof record));
  assert.deepEqual(rig.taken(), []);
  rig.forwarder.setVerdict(PLACE, "down", "refused", true);
  rig.clock.advance(100);
  assert.equal(rig.table.get(record.id)?.end?.cause, "endpointDown", "asked again, it refused again");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, currentCandidate, isLiving } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import { LIMITS_DEFAULT } from "../../limits.ts";
import { Cluster } from "../../testing/cluster.ts";
import { ClientHost, EndpointHost } from "../../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  OTHER_ENDPOINT,
  SERVICE_PORT,
  serviceOf,
} from "../../testing/rig.ts";
import { DOWN, UP, VIP0, VIP1 } from "../../testing/usual.ts";

const hosts = () => ({
  client: new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x51),
  endpoint: new EndpointHost(ENDPOINT_PORT, 0, 0x52),
});

test("any member forwards any packet of a session at full speed without having seen its INIT", async () => {
  const cluster = new Cluster(3);
  const { client, endpoint } = await cluster.rig(0).establish({ listed: [CLIENT, CLIENT_2] });
  for (const rig of cluster.rigs.slice(1)) {
    for (const [packet, to] of [
      [client.data(UP), ENDPOINT],
      [client.data({ source: CLIENT_2, destination: VIP1 }), ENDPOINT],
      [endpoint.data(DOWN), CLIENT],
      [endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }), CLIENT_2],
    ] as const) {
      assert.equal((await rig.one(packet)).destination, to);
    }
    assert.equal(rig.event("questions"), 0);
    assert.deepEqual(rig.drops(), {});
  }
});

test("each step of the handshake at another member", async () => {
  const cluster = new Cluster(3);
  const { client, endpoint } = hosts();
  const [a, b, c] = [cluster.rig(0), cluster.rig(1), cluster.rig(2)];
  const init = await a.one(client.init(UP));
  // The INIT-ACK arrives where the INIT is unknown: that member asks, and the other shows what it has
  // forwarded.
  client.acceptInitAck(await b.one(endpoint.initAck(init)));
  assert.equal(b.event("questions"), 1);
  const echo = await c.one(client.cookieEcho(UP));
  assert.equal(echo.packet.sourcePort, init.packet.sourcePort);
  await b.one(endpoint.cookieAck(DOWN));
  for (const rig of cluster.rigs) {
    await rig.one(client.data(UP));
    await rig.one(endpoint.data(DOWN));
  }
});

test("an INIT that comes again at another member, from another address: its INIT-ACK goes back there", async () => {
  const cluster = new Cluster(2);
  const { client, endpoint } = hosts();
  const [a, b] = [cluster.rig(0), cluster.rig(1)];
  const init = await a.one(client.init(UP, [CLIENT_2]));
  assert.equal((await a.one(endpoint.initAck(init))).destination, CLIENT);
  // The record is everywhere now: the other member passes the INIT on as it stands there.
  const again = await b.one(client.init({ source: CLIENT_2, destination: VIP1 }, [CLIENT]));
  assert.equal(again.packet.sourcePort, init.packet.sourcePort);
  const answer = await b.one(new EndpointHost(ENDPOINT_PORT, 0, 0x53).initAck(again));
  assert.deepEqual([answer.source, answer.destination], [VIP1, CLIENT_2]);
});

test("one INIT at two members: both allocate, the cookie decides, the association works everywhere", async () => {
  const cluster = new Cluster(3);
  const { client } = hosts();
  const first = new EndpointHost(ENDPOINT_PORT, 0, 0x61);
  const second = new EndpointHost(ENDPOINT_PORT, 0, 0x62);
  const viaA = await cluster.rig(0).one(client.init(UP, [CLIENT_2]));
  const viaB = await cluster.rig(1).one(client.init({ source: CLIENT_2, destination: VIP1 }, [CLIENT]));
  assert.notEqual(viaA.packet.sourcePort, viaB.packet.sourcePort);
  const answerA = await cluster.rig(0).one(first.initAck(viaA));
  const answerB = await cluster.rig(1).one(second.initAck(viaB));
  assert.equal(answerB.destination, CLIENT_2);
  client.acceptInitAck(answerA);
  // The COOKIE-ECHO takes yet another way.
  await cluster.rig(2).one(client.cookieEcho({ source: CLIENT_2, destination: VIP1 }));
  await cluster.rig(1).one(first.cookieAck({ source: ENDPOINT, destination: VIP1 }));
  const records = [...cluster.rig(0).table.values()];
  assert.equal(records.length, 1);
  for (const rig of cluster.rigs) {
    const record = [...rig.table.values()][0];
    assert.ok(record);
    assert.equal(currentCandidate(record)?.natPort, viaA.packet.sourcePort);
    assert.equal((await rig.one(client.data(UP))).packet.sourcePort, viaA.packet.sourcePort);
  }
});

test("a packet without state waits for the others' answer; without one it is dropped, never answered", async () => {
  const cluster = new Cluster(2);
  cluster.connected = false;
  const { client, endpoint } = await cluster.rig(0).establish();
  assert.deepEqual(await cluster.rig(1).pass(client.data(UP)), []);
  assert.deepEqual(await cluster.rig(1).pass(endpoint.data(DOWN)), []);
  assert.equal(cluster.rig(1).drops()["no-session"], 2);
  cluster.connected = true;
  const seen = await cluster.rig(1).one(client.data(UP));
  assert.equal(seen.destination, ENDPOINT);
  assert.equal(cluster.rig(1).event("aborts-sent"), 0);
});

test("two halves of a partition accept clients of one port: no NAT port is used twice, both live on", async () => {
  const cluster = new Cluster(2);
  cluster.connected = false;
  const ports = new Set<number>();
  for (const [number, rig] of cluster.rigs.entries()) {
    for (let i = 0; i < 20; i++) {
      const { natPort } = await rig.establish({
        client: new ClientHost(CLIENT_PORT, SERVICE_PORT, 1_000 * (number + 1) + i),
        endpoint: new EndpointHost(ENDPOINT_PORT, 0, 5_000 * (number + 1) + i),
        source: `100.80.${number}.${i + 1}`,
      });
      ports.add(natPort);
    }
  }
  assert.equal(ports.size, 40);
  cluster.connected = true;
  cluster.deliver();
  for (const rig of cluster.rigs) assert.equal([...rig.table.values()].filter(isLiving).length, 40);
});

test("an end at one member takes the flows away at all; an operator's end is told by the VIP's owner alone", async () => {
  const cluster = new Cluster(2);
  const { record } = await cluster.rig(0).establish({ listed: [CLIENT, CLIENT_2] });
  cluster.rig(0).forwarder.setOwnership([
    { vip: VIP0, owned: true },
    { vip: VIP1, owned: false },
  ]);
  cluster.rig(1).forwarder.setOwnership([
    { vip: VIP0, owned: false },
    { vip: VIP1, owned: true },
  ]);
  assert.ok(cluster.rig(1).fastPath.flowCount > 0);
  assert.ok(cluster.rig(1).forwarder.removeSession(record.id));
  const [byFirst, bySecond] = cluster.rigs.map((rig) => rig.taken());
  for (const rig of cluster.rigs) assert.equal(rig.fastPath.flowCount, 0);
  // Only CLIENT was ever heard from.
  const toClient = (seen: typeof byFirst) => seen?.filter(({ destination }) => destination === CLIENT) ?? [];
  assert.deepEqual(
    toClient(byFirst).map((s) => s.source),
    [VIP0],
  );
  assert.deepEqual(
    toClient(bySecond).map((s) => s.source),
    [VIP1],
  );
  for (const seen of [...toClient(byFirst), ...toClient(bySecond)]) {
    assert.deepEqual(seen.types, [CHUNK.ABORT]);
    assert.equal(seen.tag, record.commit?.clientTag);
  }
  assert.ok(byFirst?.some(({ destination }) => destination === ENDPOINT));
  assert.equal(cluster.rig(0).forwarder.removeSession(record.id), false);
});

test("a replica learns where the client was last heard", async () => {
  const cluster = new Cluster(2);
  const { client, endpoint } = await cluster.rig(0).establish({ listed: [CLIENT, CLIENT_2] });
  // A weak host sends everything from one address (docs/sctp.md §12).
  await cluster.rig(0).one(client.heartbeat({ source: CLIENT, destination: VIP1 }));
  const ack = await cluster.rig(1).one(endpoint.heartbeatAck({ source: ENDPOINT, destination: VIP1 }));
  assert.equal(ack.destination, CLIENT, "replies follow the address last heard");
  const probe = await cluster.rig(1).one(endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }));
  assert.equal(probe.destination, CLIENT_2, "probes go to the address paired with the VIP");
  const data = await cluster.rig(1).one(endpoint.data({ source: ENDPOINT, destination: VIP1 }));
  assert.equal(data.destination, CLIENT, "an address that never spoke gets probes only");
});

test("a member that knows nothing of a session that another saw end answers nobody", async () => {
  const cluster = new Cluster(2);
  const { client } = await cluster.rig(0).establish();
  const { encodeAbort } = await import("@holdfast/sctp");
  await cluster.rig(1).one(client.packet(UP, [encodeAbort()]));
  for (const rig of cluster.rigs) assert.ok(![...rig.table.values()].some(isLiving));
  assert.equal(cluster.rig(0).fastPath.flowCount, 0);
});

test("a client that restarted in the other half of a partition may restart again: its ghost keeps nobody out", async () => {
  const cluster = new Cluster(2);
  cluster.connected = false;
  const listed = [CLIENT, CLIENT_2];
  const ghost = await cluster.rig(0).establish({ listed });
  await cluster.rig(0).one(ghost.client.data({ source: CLIENT_2, destination: VIP1 }));
  const living = await cluster.rig(1).establish({
    client: new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x61),
    endpoint: new EndpointHost(ENDPOINT_PORT, 0, 0x62),
    listed,
  });
  await cluster.rig(1).one(living.client.data({ source: CLIENT_2, destination: VIP1 }));
  // The one that is used has the later word.
  cluster.rig(1).table.apply({ id: living.record.id, activity: 1 });
  cluster.deliver();
  cluster.connected = true;
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x71);
  for (const rig of cluster.rigs) {
    const init = await rig.one(again.init(UP, listed));
    assert.deepEqual(init.types, [CHUNK.INIT]);
    assert.equal(init.packet.sourcePort, living.natPort);
    assert.equal(rig.drops()["init-two-associations"], undefined);
  }
});

/** A client restarts twice, and the second INIT meets a member that has not heard of the first. */
async function restartedTwice() {
  const cluster = new Cluster(2);
  await cluster.rig(0).establish();
  cluster.connected = false;
  const first = await cluster.rig(0).establish({
    client: new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x61),
    endpoint: new EndpointHost(ENDPOINT_PORT, 0, 0x62),
  });
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x72);
  const second = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x71);
  const seen = await cluster.rig(1).one(second.init(UP));
  const [initAck] = await cluster.rig(1).pass(endpoint.initAck(seen));
  assert.ok(initAck);
  second.acceptInitAck(initAck);
  cluster.deliver();
  cluster.connected = true;
  return { cluster, first, second, endpoint };
}

// Of two commits of one epoch the greater tag's is in force.
for (const [endedTag, livingTag] of [
  [0x61, 0x71],
  [0x71, 0x61],
] as const)
  test(`two restarts in two halves of a partition, ${endedTag} shut down there: ${livingTag} lives on, at every member`, async () => {
    const cluster = new Cluster(2);
    await cluster.rig(0).establish();
    cluster.connected = false;
    const restart = (number: number, tag: number) =>
      cluster.rig(number).establish({
        client: new ClientHost(CLIENT_PORT, SERVICE_PORT, tag),
        endpoint: new EndpointHost(ENDPOINT_PORT, 0, tag + 1),
      });
    const ended = await restart(0, endedTag);
    const living = await restart(1, livingTag);
    const end = ended.client.packet(UP, [Uint8Array.of(CHUNK.SHUTDOWN, 0, 0, 8, 0, 0, 0, 0)]);
    await cluster.rig(0).one(end);
    await cluster.rig(0).one(ended.endpoint.packet(DOWN, [Uint8Array.of(CHUNK.SHUTDOWN_ACK, 0, 0, 4)]));
    await cluster.rig(0).one(ended.client.packet(UP, [Uint8Array.of(CHUNK.SHUTDOWN_COMPLETE, 0, 0, 4)]));
    cluster.clock.advance(LIMITS_DEFAULT.lingerMs + 1);
    cluster.deliver();
    cluster.connected = true;
    cluster.clock.advance(LIMITS_DEFAULT.lingerMs + 1);
    for (const rig of cluster.rigs) {
      assert.equal((await rig.one(living.client.data(UP))).destination, ENDPOINT);
      assert.equal((await rig.one(living.endpoint.data(DOWN))).destination, CLIENT);
      const record = rig.table.get(living.record.id);
      assert.ok(record !== undefined && isLiving(record));
    }
    // What was shut down is dead.
    const seen = await cluster.rig(0).pass(ended.client.data(UP));
    assert.ok(seen.every(({ types }) => !types.includes(CHUNK.DATA)));
  });

for (const number of [0, 1])
  test(`two restarts that two members saw at once: the cookie at member ${number} says which is the later`, async () => {
    const { cluster, first, second, endpoint } = await restartedTwice();
    const echo = await cluster.rig(number).one(second.cookieEcho(UP));
    assert.deepEqual(echo.types, [CHUNK.COOKIE_ECHO]);
    await cluster.rig(1 - number).one(endpoint.cookieAck(DOWN));
    for (const rig of cluster.rigs) {
      const [record] = [...rig.table.values()];
      assert.equal(record?.commit?.clientTag, second.tag);
      await rig.one(second.data(UP));
      // What was in force once says nothing any more, neither a late cookie nor a late COOKIE-ACK.
      assert.deepEqual(await rig.pass(first.client.cookieEcho(UP)), []);
      assert.deepEqual(await rig.pass(first.endpoint.cookieAck(DOWN)), []);
      assert.equal([...rig.table.values()][0]?.commit?.clientTag, second.tag);
    }
  });

test("before its cookie is back, a restart that was seen at once with the one in force changes nothing", async () => {
  const { cluster, first, second, endpoint } = await restartedTwice();
  const { encodeAbort } = await import("@holdfast/sctp");
  for (const rig of cluster.rigs) {
    assert.deepEqual(await rig.pass(second.packet(UP, [encodeAbort()])), []);
    assert.deepEqual(await rig.pass(endpoint.packet(DOWN, [encodeAbort()])), []);
    assert.equal([...rig.table.values()].filter(isLiving).length, 1);
    await rig.one(first.client.data(UP));
  }
});

test("an INIT that moved to another endpoint gives that port back when another member finishes the first", async () => {
  const services = [
    serviceOf({
      natPort: "any",
      endpoints: [ENDPOINT, OTHER_ENDPOINT].map((address) => ({
        address,
        port: ENDPOINT_PORT,
        weight: 1,
        state: "active" as const,
      })),
    }),
  ];
  const cluster = new Cluster(2, { services });
  const { natPort, record } = await cluster.rig(0).establish();
  // The client's own port, which is free at either endpoint.
  assert.equal(natPort, CLIENT_PORT);
  cluster.connected = false;
  const again = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x71);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x72);
  const home = currentCandidate(record)?.endpoint as Address;
  for (let tries = 0; tries < 2; tries++)
    assert.equal((await cluster.rig(0).one(again.init(UP))).destination, home);
  const moved = await cluster.rig(0).one(again.init(UP));
  assert.notEqual(moved.destination, home);
  assert.equal(moved.packet.sourcePort, CLIENT_PORT);
  assert.equal(cluster.rig(0).forwarder.counters().natPortsUsed, 2);
  const [initAck] = await cluster.rig(1).pass(endpoint.initAck(await cluster.rig(1).one(again.init(UP))));
  assert.ok(initAck);
  again.acceptInitAck(initAck);
  await cluster.rig(1).one(again.cookieEcho(UP));
  await cluster.rig(1).one(endpoint.cookieAck({ source: home, destination: VIP0 }));
  cluster.connected = true;
  cluster.deliver();
  const { natPortsUsed, natPortsResting, embryos } = cluster.rig(0).forwarder.counters();
  assert.deepEqual([natPortsUsed, natPortsResting, embryos], [1, 1, 0]);
});

test("the member that takes a VIP over goes on with the second HEARTBEAT, and with what was found", async () => {
  const cluster = new Cluster(3);
  const [a, b, c] = [cluster.rig(0), cluster.rig(1), cluster.rig(2)];
  const listed: readonly Address[] = ["172.17.0.1"];
  const probe = { source: ENDPOINT, destination: VIP1 } as const;
  const { client, endpoint } = await a.establish({ listed });
  assert.equal((await a.one(endpoint.heartbeat(probe))).destination, listed[0]);
  // Nobody has answered for a while: that is the others' business now.
  cluster.clock.advance(1_000);
  assert.equal((await b.one(endpoint.heartbeat(probe))).destination, CLIENT);
  await b.one(client.heartbeatAck({ source: CLIENT, destination: VIP1 }));
  const punts = c.event("punts");
  for (let i = 0; i < 3; i++) {
    assert.equal((await c.one(endpoint.heartbeat(probe))).destination, CLIENT);
    assert.equal((await c.one(endpoint.data(probe))).destination, CLIENT);
    cluster.clock.advance(30_000);
  }
  assert.equal(c.event("punts"), punts, "in the fast path");
});

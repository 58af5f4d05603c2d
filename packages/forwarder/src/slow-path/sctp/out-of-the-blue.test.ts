// RFC 9260 §8.4: what packets of associations get that nobody has, and when they get nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { noReplication } from "@holdfast/model";
import { CHUNK, encodeAbort, encodeCookieEcho, encodeSack, encodeShutdownAck } from "@holdfast/sctp";
import { Cluster } from "../../testing/cluster.ts";
import { ClientHost, EndpointHost } from "../../testing/hosts.ts";
import { CLIENT_2, CLIENT_PORT, ENDPOINT, ENDPOINT_PORT, Rig, SERVICE_PORT } from "../../testing/rig.ts";
import { DOWN, UP, VIP0 } from "../../testing/usual.ts";

const LONG_MS = 10_000;

/** Of an association that went with all members' memory. */
function forgotten() {
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x51);
  client.peerTag = 0xdead_0001;
  const endpoint = new EndpointHost(ENDPOINT_PORT, 40_000, 0xdead_0001);
  endpoint.peerTag = 0x51;
  return { client, endpoint };
}

test("a client and an endpoint that go on with a forgotten association are told, with the tag that they sent", async () => {
  const rig = new Rig({ knowsAll: () => true });
  rig.clock.advance(LONG_MS);
  const { client, endpoint } = forgotten();
  for (const [packet, route, tag] of [
    [client.heartbeat(UP), UP, client.peerTag],
    [endpoint.data(DOWN), DOWN, endpoint.peerTag],
  ] as const) {
    const answer = await rig.one(packet);
    assert.deepEqual([answer.source, answer.destination], [route.destination, route.source]);
    assert.deepEqual([answer.types, answer.packet.chunks[0]?.flags, answer.tag], [[CHUNK.ABORT], 1, tag]);
    // No larger than what it answers.
    assert.ok(answer.bytes.length <= packet.length);
  }
  const closing = await rig.one(client.packet(UP, [encodeShutdownAck()]));
  assert.deepEqual(closing.types, [CHUNK.SHUTDOWN_COMPLETE]);
  assert.equal(rig.drops()["no-session"], 3);
  // Ends, cookies and what may be an answer itself get none.
  for (const chunk of [encodeAbort(), encodeCookieEcho(new Uint8Array(4))])
    assert.deepEqual(await rig.pass(client.packet(UP, [chunk])), []);
});

test("nothing is said from ignorance: not before all are known for a while, nor while one is missing", async () => {
  let knowsAll = true;
  const rig = new Rig({ knowsAll: () => knowsAll });
  const { client } = forgotten();
  assert.deepEqual(await rig.pass(client.heartbeat(UP)), []);
  rig.clock.advance(LONG_MS);
  await rig.one(client.heartbeat(UP));
  knowsAll = false;
  rig.clock.advance(LONG_MS);
  assert.deepEqual(await rig.pass(client.heartbeat(UP)), []);
  // A moment of doubt begins the while anew.
  knowsAll = true;
  rig.clock.advance(1_000);
  assert.deepEqual(await rig.pass(client.heartbeat(UP)), []);
  rig.clock.advance(LONG_MS);
  await rig.one(client.heartbeat(UP));
  // One that does not answer in time may know.
  const late = new Rig({
    knowsAll: () => true,
    replication: { ...noReplication, ask: () => Promise.resolve(false) },
  });
  late.clock.advance(LONG_MS);
  assert.deepEqual(await late.pass(client.heartbeat(UP)), []);
  const ignorant = new Rig();
  ignorant.clock.advance(LONG_MS);
  assert.deepEqual(await ignorant.pass(client.heartbeat(UP)), []);
});

test("a living association's tag is no unknown one, from whatever address; nor is an earlier tag of its client", async () => {
  const rig = new Rig({ knowsAll: () => true });
  const { client, endpoint } = await rig.establish();
  rig.clock.advance(LONG_MS);
  // The client never listed this address, and an ABORT with its tag would end its association.
  assert.deepEqual(await rig.pass(client.heartbeat({ source: CLIENT_2, destination: VIP0 })), []);
  assert.deepEqual(await rig.pass(client.packet(UP, [encodeSack(1)], 0xbad)), []);
  assert.deepEqual(await rig.pass(endpoint.packet(DOWN, [encodeSack(1)], 0xbad)), []);
  await rig.one(client.data(UP));
  // A handshake that is in nobody's table yet.
  const other = new ClientHost(CLIENT_PORT + 1, SERVICE_PORT, 0x61);
  const second = new EndpointHost(ENDPOINT_PORT, 0, 0x62);
  other.acceptInitAck(await rig.one(second.initAck(await rig.one(other.init(UP)))));
  assert.deepEqual(
    await rig.pass(other.packet({ source: CLIENT_2, destination: VIP0 }, [encodeSack(1)])),
    [],
  );
});

test("another member that knows the association is asked first", async () => {
  const cluster = new Cluster(2, { knowsAll: () => true });
  const [a, b] = [cluster.rig(0), cluster.rig(1)];
  cluster.clock.advance(LONG_MS);
  cluster.connected = false;
  const { client } = await a.establish();
  cluster.connected = true;
  assert.equal((await b.one(client.data(UP))).destination, ENDPOINT);
});

test("answers are rated for each source prefix, and as a whole", async () => {
  const rig = new Rig({
    knowsAll: () => true,
    replication: noReplication,
    limits: { answersPerSecond: 20, answersPerSecondAndPrefix: 5 },
  });
  rig.clock.advance(LONG_MS);
  const { client } = forgotten();
  const answers = async (prefix: `${number}.${number}.${number}`) => {
    let count = 0;
    for (let i = 0; i < 20; i++)
      count += (await rig.pass(client.heartbeat({ source: `${prefix}.${i + 1}`, destination: VIP0 }))).length;
    return count;
  };
  assert.equal(await answers("198.18.1"), 5);
  const others: number[] = [];
  for (let i = 2; i < 8; i++) others.push(await answers(`198.18.${i}`));
  assert.deepEqual(others, [5, 5, 5, 0, 0, 0]);
});

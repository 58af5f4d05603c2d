import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, isLiving } from "@holdfast/model";
import {
  CAUSE,
  CHUNK,
  type Chunk,
  encodeAbort,
  encodeChunk,
  encodeData,
  encodeError,
  encodeParameter,
  encodeRestartWithNewAddresses,
  encodeSack,
  encodeShutdown,
  encodeShutdownAck,
  encodeShutdownComplete,
  parseCauses,
  parseParameters,
} from "@holdfast/sctp";
import { ClientHost, EndpointHost, ipPacket } from "../../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  VIPS,
} from "../../testing/rig.ts";
import { DOWN, UP } from "../../testing/usual.ts";

const [VIP0] = VIPS as [Address, Address];

const isAlive = (rig: Rig, id: string) => {
  const record = rig.table.get(id);
  return record !== undefined && isLiving(record);
};

test("a shutdown ends the session; its lost last packet is answered through the linger and after", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish();
  await rig.one(client.packet(UP, [encodeShutdown(1)]));
  assert.equal(rig.forwarder.describe(record.id)?.phase, "shutdown");
  await rig.one(endpoint.packet(DOWN, [encodeShutdownAck()]));
  await rig.one(client.packet(UP, [encodeShutdownComplete()]));
  assert.equal(isAlive(rig, record.id), false);
  assert.equal(rig.table.get(record.id)?.end?.cause, "shutdown");
  assert.equal(rig.fastPath.flowCount, 0);
  assert.equal(rig.events.filter((e) => e.kind === "sessionEnded").length, 1);
  // SHUTDOWN-COMPLETE was lost: the endpoint asks again, the client answers with the T bit, both pass.
  await rig.one(endpoint.packet(DOWN, [encodeShutdownAck()]));
  const reflected = ipPacket(UP, CLIENT_PORT, SERVICE_PORT, client.tag, [
    encodeShutdownComplete({ reflected: true }),
  ]);
  assert.equal((await rig.one(reflected)).destination, ENDPOINT);
  // After the linger Holdfast answers in the client's place.
  rig.clock.advance(40_000);
  const answer = await rig.one(endpoint.packet(DOWN, [encodeShutdownAck()]));
  assert.deepEqual(answer.types, [CHUNK.SHUTDOWN_COMPLETE]);
  assert.equal((answer.packet.chunks[0] as Chunk).flags, 1);
  assert.equal(answer.tag, client.tag);
  assert.deepEqual([answer.source, answer.destination], [VIP0, ENDPOINT]);
  const abort = await rig.one(client.data(UP));
  assert.deepEqual(abort.types, [CHUNK.ABORT]);
  assert.equal((abort.packet.chunks[0] as Chunk).flags, 1);
  // … but never to an ABORT.
  assert.deepEqual(await rig.pass(client.packet(UP, [encodeAbort()])), []);
});

test("ABORT ends with the right tag, behind other chunks, with the T bit the other way round", async () => {
  const ends: [string, (rig: Rig, e: Awaited<ReturnType<Rig["establish"]>>) => Uint8Array][] = [
    ["abortByClient", (_, { client }) => client.packet(UP, [encodeAbort()])],
    ["abortByClient", (_, { client }) => client.packet(UP, [encodeSack(1), encodeAbort()])],
    ["abortByClient", (_, { client }) => client.packet(UP, [encodeAbort({ reflected: true })], client.tag)],
    ["abortByEndpoint", (_, { endpoint }) => endpoint.packet(DOWN, [encodeAbort()])],
    [
      "abortByEndpoint",
      (_, { endpoint }) => endpoint.packet(DOWN, [encodeAbort({ reflected: true })], endpoint.tag),
    ],
  ];
  for (const [cause, packet] of ends) {
    const rig = new Rig();
    const established = await rig.establish();
    assert.equal((await rig.pass(packet(rig, established))).length, 1, cause);
    assert.equal(rig.table.get(established.record.id)?.end?.cause, cause);
  }
});

test("forged ABORT, ERROR, SHUTDOWN-COMPLETE, SHUTDOWN and DATA harm nothing and are counted", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish();
  const wrong = 0x0bad_0bad;
  const forged: Uint8Array[] = [
    client.packet(UP, [encodeAbort()], wrong),
    client.packet(UP, [encodeAbort()], client.tag),
    client.packet(UP, [encodeAbort({ reflected: true })], endpoint.tag),
    client.packet(UP, [encodeShutdownComplete()], wrong),
    client.packet(UP, [encodeShutdownComplete({ reflected: true })], wrong),
    client.packet(UP, [encodeShutdown(1)], wrong),
    client.packet(UP, [encodeError([])], wrong),
    client.data(UP),
    endpoint.packet(DOWN, [encodeAbort()], wrong),
    endpoint.packet(DOWN, [encodeAbort()], endpoint.tag),
    endpoint.packet(DOWN, [encodeAbort({ reflected: true })], client.tag),
    endpoint.packet(DOWN, [encodeShutdownComplete()], wrong),
    endpoint.packet(DOWN, [encodeError([])], wrong),
  ];
  forged[7] = client.packet(UP, [encodeData({ tsn: 1, data: new Uint8Array(4) })], wrong);
  for (const packet of forged) assert.deepEqual(await rig.pass(packet), []);
  const drops = rig.drops();
  assert.equal((drops["wrong-tag"] ?? 0) + (drops["drop.wrong-tag"] ?? 0), forged.length);
  // With the right tag, but in the wrong phase (RFC 9260 §8.5.1 C): nothing ends.
  assert.deepEqual(await rig.pass(client.packet(UP, [encodeShutdownComplete()])), []);
  // An ERROR with the right tag passes and ends nothing.
  await rig.one(client.packet(UP, [encodeError([])]));
  assert.ok(isAlive(rig, record.id));
  await rig.one(client.data(UP));
  await rig.one(endpoint.data(DOWN));
});

test("a source that the association does not have is dropped, whatever its tag", async () => {
  const rig = new Rig();
  const { client, record } = await rig.establish();
  assert.deepEqual(await rig.pass(client.data({ source: "100.80.9.9", destination: VIP0 })), []);
  assert.deepEqual(
    await rig.pass(client.packet({ source: "100.80.9.9", destination: VIP0 }, [encodeAbort()])),
    [],
  );
  assert.ok(isAlive(rig, record.id));
  assert.equal(rig.drops()["no-session"], 2);
});

test("ASCONF is answered with ERROR cause 6, both ways; the association lives", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish();
  const asconf = encodeChunk(CHUNK.ASCONF, 0, Uint8Array.from([0, 0, 0, 1, 0, 5, 0, 8, 1, 2, 3, 4]));
  for (const [packet, tag, to] of [
    [client.packet(UP, [asconf]), client.tag, CLIENT],
    [endpoint.packet(DOWN, [asconf]), endpoint.tag, ENDPOINT],
  ] as const) {
    const answer = await rig.one(packet);
    assert.deepEqual(answer.types, [CHUNK.ERROR]);
    assert.equal(answer.tag, tag);
    assert.equal(answer.destination, to);
    const causes = parseCauses(answer.packet.chunks[0] as Chunk);
    assert.ok(Array.isArray(causes));
    assert.deepEqual(
      causes.map((cause) => cause.type),
      [CAUSE.UNRECOGNIZED_CHUNK],
    );
  }
  assert.ok(isAlive(rig, record.id));
  assert.equal(rig.drops()["asconf"], 2);
});

test("causes 5 and 11 lose addresses that are not VIPs", async () => {
  const rig = new Rig();
  const { client } = await rig.establish({ listed: [CLIENT, CLIENT_2] });
  const cause = encodeRestartWithNewAddresses([addressBytes(CLIENT_2), addressBytes(VIP0)]);
  const seen = await rig.one(client.packet(UP, [encodeError([cause])]));
  const causes = parseCauses(seen.packet.chunks[0] as Chunk);
  assert.ok(Array.isArray(causes) && causes[0] !== undefined);
  const kept = parseParameters(causes[0].bytes, causes[0].offset + 4, causes[0].offset + causes[0].length);
  assert.ok(Array.isArray(kept));
  assert.equal(kept.length, 1);
  const only = encodeRestartWithNewAddresses([addressBytes(CLIENT_2)]);
  const bare = await rig.one(client.packet(UP, [encodeError([only])]));
  assert.deepEqual(parseCauses(bare.packet.chunks[0] as Chunk), []);
  // Behind AUTH nothing can be edited, and nothing is shown.
  const auth = encodeChunk(CHUNK.AUTH, 0, new Uint8Array(8));
  assert.deepEqual(await rig.pass(client.packet(UP, [auth, encodeError([only])])), []);
  assert.equal(rig.drops()["error-causes"], 1);
});

test("unknown chunks pass", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish();
  for (const type of [0x3f, 0x7f, 0xbf, 0xff]) {
    await rig.one(client.packet(UP, [encodeChunk(type, 0, Uint8Array.from([1, 2, 3]))]));
    await rig.one(endpoint.packet(DOWN, [encodeChunk(type, 0, Uint8Array.from([1, 2, 3]))]));
  }
  assert.deepEqual(rig.drops(), {});
});

test("Stale Cookie passes and the same INIT starts over", async () => {
  const rig = new Rig();
  const { ClientHost, EndpointHost } = await import("../../testing/hosts.ts");
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 1);
  let endpoint: EndpointHost = new EndpointHost(7_000, 0, 2);
  client.acceptInitAck(await rig.one(endpoint.initAck(await rig.one(client.init(UP)))));
  await rig.one(client.cookieEcho(UP));
  const stale = encodeParameter(CAUSE.STALE_COOKIE, Uint8Array.from([0, 0, 0, 9]));
  await rig.one(endpoint.packet(DOWN, [encodeError([stale])]));
  assert.equal(rig.event("sessions-committed"), 0, "an ERROR is no proof of an association");
  endpoint = new EndpointHost(7_000, 0, 3);
  client.acceptInitAck(await rig.one(endpoint.initAck(await rig.one(client.init(UP)))));
  await rig.one(client.cookieEcho(UP));
  await rig.one(endpoint.cookieAck(DOWN));
  assert.equal((await rig.one(client.data(UP))).tag, 3);
});

test("idle: an association without traffic is forgotten, and comes back with its next tag-valid packet", async () => {
  const rig = new Rig();
  const { client, endpoint, record } = await rig.establish();
  for (let i = 0; i < 4; i++) {
    rig.clock.advance(800_000);
    await rig.one(endpoint.heartbeat(DOWN));
    await rig.one(client.heartbeatAck(UP));
    rig.clock.advance(5_000);
  }
  assert.ok(isAlive(rig, record.id));
  assert.ok((rig.table.get(record.id)?.activity ?? 0) >= 4);
  rig.clock.advance(1_200_000);
  assert.equal(isAlive(rig, record.id), false);
  assert.equal(rig.table.get(record.id)?.end?.absorbing, false);
  assert.equal(rig.fastPath.flowCount, 0);
  await rig.one(client.data(UP));
  assert.ok(isAlive(rig, record.id));
  await rig.one(endpoint.data(DOWN));
});

test("a handshake that only timed out is no proof of death: its packets are dropped, not answered", async () => {
  const rig = new Rig();
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 3);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 4);
  client.acceptInitAck(await rig.one(endpoint.initAck(await rig.one(client.init(UP)))));
  await rig.one(client.cookieEcho(UP));
  // COOKIE-ACK passed at a member that this one does not hear.
  rig.clock.advance(200_000);
  const [record] = [...rig.table.values()];
  assert.equal(record?.end?.cause, "handshakeTimeout");
  assert.deepEqual(await rig.pass(client.data(UP)), []);
  assert.ok((rig.drops()["session-ended"] ?? 0) > 0);
});

// Packets with more parts than anybody would count: RFC 9260 §6.10 sets no limit but the packet's length.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, CLIENT_ADDRESS_COUNT_MAX, isEnded } from "@holdfast/model";
import { encodeAbort, encodeAddress, encodeChunk, encodeInitAck, encodeParameter } from "@holdfast/sctp";
import { fragmentPacket } from "../../fragments/fragmentation.ts";
import { ClientHost, EndpointHost, ipPacket, listedIn } from "../../testing/hosts.ts";
import { CLIENT_PORT, ENDPOINT, ENDPOINT_PORT, Rig, SERVICE_PORT, settled, VIPS } from "../../testing/rig.ts";
import { DOWN, UP, VIP0 } from "../../testing/usual.ts";

const MANY = Array<Uint8Array>(300).fill(encodeChunk(0x84, 0));

test("an ABORT behind hundreds of chunks ends the association, from either side", async () => {
  for (const side of ["client", "endpoint"] as const) {
    const rig = new Rig();
    const { client, endpoint, record } = await rig.establish();
    const before = [client.packet(UP, MANY), endpoint.packet(DOWN, MANY)];
    for (const packet of before) await rig.one(packet);
    const last = [...MANY, encodeAbort()];
    const packet = side === "client" ? client.packet(UP, last) : endpoint.packet(DOWN, last);
    const seen = await rig.one(packet);
    assert.equal(seen.packet.chunkCount, 301);
    const after = rig.table.get(record.id);
    assert.ok(after !== undefined && isEnded(after));
    assert.deepEqual(rig.drops(), {});
  }
});

test("hundreds of addresses, in fragments: the handshake works, sixteen are kept, the VIPs take their place", async () => {
  const rig = new Rig();
  const listed = Array.from({ length: 400 }, (_, i): Address => `198.18.${i >> 8}.${i & 0xff}`);
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x31);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 0x32);
  const init = client.init(UP, listed);
  for (const fragment of fragmentPacket(init, 1_500, 7)) rig.fastPath.inject(fragment);
  await settled();
  const [forwarded] = rig.taken();
  assert.ok(forwarded);
  assert.deepEqual(listedIn(forwarded), VIPS);
  // An endpoint with as many, and a parameter of its own for each that it did not know.
  const own = Array.from({ length: 400 }, (_, i) =>
    encodeAddress(addressBytes(`192.0.${i >> 8}.${i & 0xff}`)),
  );
  const unknown = Array<Uint8Array>(100).fill(encodeParameter(0x8008, Uint8Array.of(1)));
  endpoint.initAck(forwarded);
  const cookie = encodeParameter(7, Uint8Array.of(1, 2, 3, 4));
  const parameters = [...own, ...unknown, cookie];
  const ack = ipPacket(
    { source: ENDPOINT, destination: VIP0 },
    ENDPOINT_PORT,
    forwarded.packet.sourcePort,
    client.tag,
    [encodeInitAck({ initiateTag: endpoint.tag, parameters })],
  );
  const [answer] = await rig.pass(ack);
  assert.ok(answer);
  assert.deepEqual(listedIn(answer), VIPS);
  client.acceptInitAck(answer);
  await rig.one(client.cookieEcho(UP));
  await rig.one(endpoint.cookieAck(DOWN));
  const [record] = [...rig.table.values()];
  assert.equal(record?.clients.size, CLIENT_ADDRESS_COUNT_MAX);
  for (const address of listed.slice(0, CLIENT_ADDRESS_COUNT_MAX - 1))
    assert.ok(record?.clients.has(address));
  assert.deepEqual(rig.drops(), {});
});

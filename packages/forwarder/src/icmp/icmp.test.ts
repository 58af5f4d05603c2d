import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import {
  encodeData,
  encodePacket,
  fold,
  IpHeader,
  onesSum,
  PROTOCOL,
  pseudoHeaderSum,
  read16,
  read32,
  verifyChecksum,
} from "@holdfast/sctp";
import { ClientHost, EndpointHost, type Route } from "../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  serviceOf,
  settled,
  VIPS,
} from "../testing/rig.ts";
import { encodeIcmp } from "./own-errors.ts";

const VIP0 = VIPS[0] as Address;
const ROUTER: Address = "100.99.0.1";
const UP: Route = { source: CLIENT, destination: VIP0 };
const DOWN: Route = { source: ENDPOINT, destination: VIP0 };

interface Error {
  readonly type: number;
  readonly code: number;
  readonly word: number;
  readonly source: Address;
  readonly destination: Address;
  /** The quoted packet, header on. */
  readonly inner: Uint8Array;
}

/** Takes an ICMP packet apart, checksums verified. */
function readError(bytes: Uint8Array): Error {
  const ip = new IpHeader();
  assert.equal(ip.read(bytes), undefined);
  const icmp = bytes.subarray(ip.payloadOffset, ip.end);
  assert.equal(ip.protocol, ip.version === 4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6);
  const source = bytes.subarray(ip.sourceOffset, ip.sourceOffset + ip.addressSize);
  const destination = bytes.subarray(ip.destinationOffset, ip.destinationOffset + ip.addressSize);
  const pseudo = ip.version === 4 ? 0 : pseudoHeaderSum(source, destination, icmp.length, PROTOCOL.ICMPV6);
  assert.equal(fold(onesSum(icmp, 0, icmp.length) + pseudo), 0xffff, "ICMP checksum");
  return {
    type: icmp[0] as number,
    code: icmp[1] as number,
    word: read32(icmp, 4),
    source: addressFromBytes(source),
    destination: addressFromBytes(destination),
    inner: icmp.slice(8),
  };
}

interface Inner {
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tag: number;
}

function readInner(inner: Uint8Array): Inner {
  const ip = new IpHeader();
  const whole = new Uint8Array(2_000);
  whole.set(inner);
  assert.equal(ip.read(whole), undefined);
  if (ip.version === 4)
    assert.equal(fold(onesSum(inner, 0, ip.payloadOffset)), 0xffff, "inner header checksum");
  return {
    source: addressFromBytes(inner, ip.sourceOffset, ip.addressSize),
    destination: addressFromBytes(inner, ip.destinationOffset, ip.addressSize),
    sourcePort: read16(inner, ip.payloadOffset),
    destinationPort: read16(inner, ip.payloadOffset + 2),
    tag: read32(inner, ip.payloadOffset + 4),
  };
}

/** An error from a router about a packet that Holdfast sent. */
function about(
  sent: Uint8Array,
  vip: Address,
  type: number,
  code: number,
  word = 0,
  from = ROUTER,
): Uint8Array {
  return encodeIcmp({
    version: (sent[0] as number) >>> 4 === 4 ? 4 : 6,
    type,
    code,
    word,
    source: addressBytes(from),
    destination: addressBytes(vip),
    inner: sent,
  });
}

async function pass(rig: Rig, packet: Uint8Array): Promise<Error[]> {
  rig.fastPath.inject(packet);
  await settled();
  return rig.fastPath.takeOutgoing().map((out) => readError(out.packet));
}

test("an error about a packet to the client goes to the endpoint, outer and inner translated", async () => {
  const rig = new Rig();
  const { client, endpoint, natPort } = await rig.establish();
  const sent = await rig.one(endpoint.data(DOWN));
  // From the client itself: its address must not be seen.
  const [error] = await pass(rig, about(sent.bytes, VIP0, 3, 4, 1_280, CLIENT));
  assert.ok(error);
  assert.deepEqual([error.type, error.code, error.word], [3, 4, 1_280]);
  assert.deepEqual([error.source, error.destination], [VIP0, ENDPOINT]);
  const inner = readInner(error.inner);
  assert.deepEqual(inner, {
    source: ENDPOINT,
    destination: VIP0,
    sourcePort: ENDPOINT_PORT,
    destinationPort: natPort,
    tag: client.tag,
  });
  // The inner checksum is the one that the endpoint sent, too.
  const ip = new IpHeader();
  ip.read(error.inner);
  assert.ok(verifyChecksum(error.inner, ip.payloadOffset, ip.end));
  assert.equal(rig.event("icmp-translated"), 1);
});

test("an error about a packet to the endpoint goes to the client, also with eight quoted bytes", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish();
  const sent = await rig.one(client.data(UP));
  for (const quoted of [sent.bytes, sent.bytes.subarray(0, 28)]) {
    const [error] = await pass(rig, about(quoted, VIP0, 11, 0));
    assert.ok(error);
    assert.deepEqual([error.type, error.source, error.destination], [11, VIP0, CLIENT]);
    assert.deepEqual(readInner(error.inner), {
      source: CLIENT,
      destination: VIP0,
      sourcePort: CLIENT_PORT,
      destinationPort: SERVICE_PORT,
      tag: endpoint.tag,
    });
  }
});

test("an INIT has no tag: its initiate tag proves it, and without that nothing passes", async () => {
  const rig = new Rig();
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x77);
  const sent = await rig.one(client.init(UP));
  const [error] = await pass(rig, about(sent.bytes, VIP0, 3, 1));
  assert.deepEqual([error?.destination, error?.type], [CLIENT, 3]);
  assert.deepEqual(await pass(rig, about(sent.bytes.subarray(0, 28), VIP0, 3, 1)), []);
  const forged = sent.bytes.slice();
  forged[20 + 19] = (forged[20 + 19] as number) ^ 1;
  assert.deepEqual(await pass(rig, about(forged, VIP0, 3, 1)), []);
  assert.equal(rig.drops()["icmp-unrelated"], 2);
});

test("forged errors take nothing away: wrong tag, reflected tag, alien addresses, garbage", async () => {
  const rig = new Rig();
  const { client, endpoint } = await rig.establish();
  const down = (await rig.one(endpoint.data(DOWN))).bytes;
  const up = (await rig.one(client.data(UP))).bytes;
  const flip = (bytes: Uint8Array, at: number) => {
    const copy = bytes.slice();
    copy[at] = (copy[at] as number) ^ 1;
    return copy;
  };
  const forged = [
    about(flip(down, 20 + 7), VIP0, 3, 2),
    about(flip(up, 20 + 7), VIP0, 3, 3),
    about(flip(down, 19), VIP0, 3, 2),
    about(flip(down, 15), VIP0, 3, 2),
    about(flip(up, 20), VIP0, 3, 2),
    about(down.subarray(0, 27), VIP0, 3, 2),
    about(new Uint8Array(40).fill(0x45), VIP0, 3, 2),
    about(Uint8Array.of(0x45), VIP0, 3, 2),
    // The packet as the client sent it, not as Holdfast did.
    about(client.data(UP), VIP0, 3, 2),
  ];
  for (const packet of forged) assert.deepEqual(await pass(rig, packet), []);
  assert.equal(rig.drops()["icmp-unrelated"], forged.length);
  await rig.one(client.data(UP));
  await rig.one(endpoint.data(DOWN));
});

test("what is said about an address that was listed and never proved itself stops here", async () => {
  const rig = new Rig();
  const VIP1 = VIPS[1] as Address;
  const listed = "172.17.0.1";
  const { client, endpoint } = await rig.establish({ listed: [listed] });
  // Whoever has that address answers the probe with protocol unreachable, which RFC 9260 §10 lets end an
  // association.
  const probe = await rig.one(endpoint.heartbeat({ source: ENDPOINT, destination: VIP1 }));
  assert.equal(probe.destination, listed);
  for (const [type, code] of [
    [3, 2],
    [3, 1],
    [3, 4],
    [11, 0],
  ] as const)
    assert.deepEqual(await pass(rig, about(probe.bytes, VIP1, type, code, 0, listed)), []);
  assert.equal(rig.drops()["icmp-unproven"], 4);
  // With a packet from it the address is the client's, and what is said about it counts.
  await rig.pass(client.heartbeat({ source: listed, destination: VIP1 }));
  const [error] = await pass(rig, about(probe.bytes, VIP1, 3, 1, 0, listed));
  assert.deepEqual([error?.source, error?.destination, error?.code], [VIP1, ENDPOINT, 1]);
});

test("an endpoint's listed address, too; but what is said about the size of packets counts", async () => {
  const VIP6 = "2001:db8:ffff::1";
  const client6 = "2001:db8:1::10";
  const listed = "2001:db8:2::20";
  const rig = new Rig({ services: [serviceOf({ vips: [VIP0, VIP6] })] });
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 5);
  const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 6);
  const init = await rig.one(client.init(UP, [client6]));
  client.acceptInitAck(await rig.one(endpoint.initAck(init, { source: ENDPOINT, listed: [listed] })));
  const echo = await rig.one(client.cookieEcho(UP));
  await rig.one(endpoint.cookieAck({ source: echo.destination, destination: echo.source }));
  const sent = await rig.one(client.heartbeat({ source: client6, destination: VIP6 }));
  assert.equal(sent.destination, listed);
  assert.deepEqual(await pass(rig, about(sent.bytes, VIP6, 4, 1, 0, listed)), []);
  assert.equal(rig.drops()["icmp-unproven"], 1);
  const [tooBig] = await pass(rig, about(sent.bytes, VIP6, 2, 0, 1_400, "2001:db8:2::1"));
  assert.deepEqual([tooBig?.type, tooBig?.word, tooBig?.destination], [2, 1_400, client6]);
  await rig.one(endpoint.heartbeatAck({ source: listed, destination: VIP6 }));
  const [error] = await pass(rig, about(sent.bytes, VIP6, 4, 1, 0, listed));
  assert.deepEqual([error?.type, error?.code, error?.destination], [4, 1, client6]);
});

test("a flood of errors that prove themselves is rated: one association has a tenth of what all have", async () => {
  const rig = new Rig({ limits: { icmpTranslatedPerSecond: 100 } });
  const { endpoint } = await rig.establish();
  const sent = (await rig.one(endpoint.data(DOWN))).bytes;
  for (let i = 0; i < 50; i++) rig.fastPath.inject(about(sent, VIP0, 11, 0));
  assert.equal(rig.event("icmp-translated"), 10);
  assert.equal(rig.drops()["icmp-rate"], 40);
});

test("our own fragmentation needed carries the packet as its sender knew it, IPv4 and IPv6", async () => {
  const egress = () => ({ mtu: 1_280 });
  const rig = new Rig({ egress });
  const { client, endpoint } = await rig.establish();
  const big = client.packet(UP, [encodeData({ tsn: 1, data: new Uint8Array(1_400) })]);
  const [error] = await pass(rig, big);
  assert.ok(error);
  assert.deepEqual([error.type, error.code, error.word & 0xffff], [3, 4, 1_280]);
  assert.deepEqual([error.source, error.destination], [VIP0, CLIENT]);
  assert.deepEqual(error.inner, big.subarray(0, error.inner.length));
  assert.ok(error.inner.length >= 500);
  assert.deepEqual(readInner(error.inner).tag, endpoint.tag);

  const vip6 = "2001:db8:ffff::1";
  const client6 = "2001:db8:1::10";
  const endpoint6 = "2001:db8:2::20";
  const six = new Rig({
    egress,
    services: [
      serviceOf({
        vips: [vip6],
        endpoints: [{ address: endpoint6, port: ENDPOINT_PORT, weight: 1, state: "active" }],
      }),
    ],
  });
  const up6: Route = { source: client6, destination: vip6 };
  const c = new ClientHost(CLIENT_PORT, SERVICE_PORT, 5);
  const e = new EndpointHost(ENDPOINT_PORT, 0, 6);
  c.acceptInitAck(await six.one(e.initAck(await six.one(c.init(up6)))));
  await six.one(c.cookieEcho(up6));
  await six.one(e.cookieAck({ source: endpoint6, destination: vip6 }));
  const [tooBig] = await pass(six, c.packet(up6, [encodeData({ tsn: 1, data: new Uint8Array(1_400) })]));
  assert.deepEqual([tooBig?.type, tooBig?.code, tooBig?.word], [2, 0, 1_280]);
  assert.deepEqual([tooBig?.source, tooBig?.destination], [vip6, client6]);
  // … and one from a router on the other side is translated.
  const sent = await six.one(c.data(up6));
  const [routed] = await pass(six, about(sent.bytes, vip6, 2, 0, 1_400, "2001:db8:2::1"));
  assert.deepEqual([routed?.word, routed?.destination], [1_400, client6]);
  assert.equal(readInner(routed?.inner as Uint8Array).source, client6);
});

test("hop limit: time exceeded to the sender", async () => {
  const rig = new Rig();
  const { client } = await rig.establish();
  const { ipPacket } = await import("../testing/hosts.ts");
  const last = ipPacket(
    UP,
    CLIENT_PORT,
    SERVICE_PORT,
    client.peerTag,
    [encodeData({ tsn: 1, data: new Uint8Array(4) })],
    {
      hopLimit: 1,
    },
  );
  const [error] = await pass(rig, last);
  assert.deepEqual([error?.type, error?.code, error?.destination], [11, 0, CLIENT]);
  assert.deepEqual(error?.inner, last);
  assert.equal(rig.drops()["ttl-expired"], 1);
});

test("errors about errors, echoes and the like are not answered", async () => {
  const rig = new Rig();
  const payload = encodePacket({
    sourcePort: 1,
    destinationPort: 2,
    verificationTag: 3,
    chunks: [encodeData({ tsn: 1, data: new Uint8Array(4) })],
  });
  assert.deepEqual(await pass(rig, about(payload, VIP0, 5, 0)), []);
});

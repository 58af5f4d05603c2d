import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { encodeData, IpHeader } from "@holdfast/sctp";
import fc from "fast-check";
import { LIMITS_DEFAULT } from "../limits.ts";
import { ClientHost, EndpointHost, ipPacket, type Route, see } from "../testing/hosts.ts";
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
import { fragmentPacket } from "./fragmentation.ts";
import { Reassembly } from "./reassembly.ts";

const UP: Route = { source: CLIENT, destination: VIPS[0] as Address };
const UP6: Route = { source: "2001:db8:1::10", destination: "2001:db8:ffff::1" };

function packetOf(route: Route, size: number): Uint8Array {
  const data = Uint8Array.from({ length: size }, (_, i) => i & 0xff);
  return ipPacket(route, CLIENT_PORT, SERVICE_PORT, 7, [encodeData({ tsn: 1, data })]);
}

function header(bytes: Uint8Array): IpHeader {
  const ip = new IpHeader();
  assert.equal(ip.read(bytes), undefined);
  return ip;
}

/** IPv4 fragments of a packet have DF 0; the identification differs. Everything else is the packet again. */
function content(bytes: Uint8Array): Uint8Array {
  return bytes.slice(header(bytes).payloadOffset, header(bytes).end);
}

test("fragments in any order, twice each, make the packet again", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(UP, UP6),
      fc.integer({ min: 100, max: 5_000 }),
      fc.integer({ min: 200, max: 1_400 }),
      fc.integer(),
      (route, size, mtu, seed) => {
        const packet = packetOf(route, size);
        const fragments = fragmentPacket(packet, mtu, 99);
        for (const fragment of fragments) assert.ok(fragment.length <= mtu);
        if (packet.length <= mtu) return assert.deepEqual(fragments, [packet]);
        const shuffled = [...fragments, ...fragments.slice(0, -1)]
          .map((fragment, i) => ({ fragment, order: Math.imul(i + 1, seed | 1) >>> 0 }))
          .sort((a, b) => a.order - b.order);
        const reassembly = new Reassembly(LIMITS_DEFAULT);
        let whole: Uint8Array | undefined;
        for (const { fragment } of shuffled) {
          const result = reassembly.add(fragment, header(fragment), 0);
          if (typeof result === "object") {
            whole ??= result.packet;
            assert.ok(result.fragmentSize <= mtu);
          } else if (whole === undefined) assert.equal(result, undefined);
        }
        assert.ok(whole !== undefined);
        assert.deepEqual(content(whole), content(packet));
        see(whole);
      },
    ),
    { numRuns: 100 },
  );
});

test("the longest packet, in the most pieces that a link makes of it", () => {
  for (const [route, mtu, headers] of [
    [UP, 576, 20],
    [UP6, 1_280, 40],
  ] as const) {
    // Common header and DATA's own take 28 bytes; an IPv6 header does not count.
    const packet = packetOf(route, (route === UP ? 65_532 - headers : 65_532) - 28);
    const reassembly = new Reassembly(LIMITS_DEFAULT);
    const results = fragmentPacket(packet, mtu, 99).map((f) => reassembly.add(f, header(f), 0));
    const whole = results.at(-1);
    assert.ok(typeof whole === "object", String(whole));
    assert.deepEqual(content(whole.packet), content(packet));
  }
});

test("overlaps, tiny first fragments and too many are refused; what is incomplete is forgotten", () => {
  const limits = {
    ...LIMITS_DEFAULT,
    fragmentPacketCountMax: 3,
    fragmentBytesMax: 4_000,
    fragmentCountMaxPerPacket: 4,
  };
  const reassembly = new Reassembly(limits);
  const packet = packetOf(UP, 2_000);
  const [first, , third] = fragmentPacket(packet, 804, 1) as [Uint8Array, Uint8Array, Uint8Array];
  const add = (bytes: Uint8Array, nowMs = 0) => reassembly.add(bytes, header(bytes), nowMs);
  assert.equal(add(first), undefined);
  // The same place with other content.
  const other = first.slice();
  other[60] = 0xff;
  assert.equal(add(other), "fragment-overlap");
  assert.equal(reassembly.size, 0);
  assert.equal(add(third), undefined);
  // A last fragment that ends elsewhere.
  const shorter = fragmentPacket(packetOf(UP, 1_000), 804, 1)[1] as Uint8Array;
  assert.equal(add(shorter), "fragment-overlap");
  const tiny = fragmentPacket(packetOf(UP, 100), 28, 5)[0] as Uint8Array;
  assert.equal(add(tiny), "fragment-too-small");
  for (let i = 0; i < 3; i++)
    assert.equal(add(fragmentPacket(packet, 804, 10 + i)[0] as Uint8Array, i), undefined);
  // One more, and the oldest gives way.
  assert.equal(add(fragmentPacket(packet, 804, 13)[0] as Uint8Array, 3), undefined);
  assert.equal(reassembly.takeDisplaced(), 1);
  assert.equal(reassembly.takeDisplaced(), 0);
  assert.equal(reassembly.size, 3);
  assert.equal(reassembly.expire(LIMITS_DEFAULT.fragmentTimeoutMs + 1), 1);
  assert.equal(reassembly.expire(LIMITS_DEFAULT.fragmentTimeoutMs + 10), 2);
  assert.equal(reassembly.size, 0);
  for (const piece of fragmentPacket(packet, 300, 77).slice(0, 4)) assert.equal(add(piece), undefined);
  assert.equal(add(fragmentPacket(packet, 300, 77)[4] as Uint8Array), "fragment-limit");
});

for (const [name, stranger] of [
  ["the client's own address", () => UP.source],
  ["everybody's", (i: number): Address => `100.64.${(i >>> 8) & 255}.${i & 255}`],
] as const) {
  test(`packets that never become whole, from ${name}, displace each other and no genuine one`, () => {
    const reassembly = new Reassembly(LIMITS_DEFAULT);
    const packet = packetOf(UP, 5_000);
    const genuine = fragmentPacket(packet, 1_280, 0x1234);
    let stored = 0;
    let displaced = 0;
    const flood = (count: number) => {
      for (let i = 0; i < count; i++, stored++) {
        const route = { ...UP, source: stranger(stored) };
        const [piece] = fragmentPacket(packetOf(route, 1_500), 804, 0x8000 | (stored & 0x7fff));
        assert.equal(reassembly.add(piece as Uint8Array, header(piece as Uint8Array), 0), undefined);
        displaced += reassembly.takeDisplaced();
      }
    };
    flood(3_000);
    const results = genuine.map((fragment) => {
      flood(20);
      return reassembly.add(fragment, header(fragment), 0);
    });
    const whole = results.at(-1);
    assert.ok(typeof whole === "object");
    assert.deepEqual(content(whole.packet), content(packet));
    assert.ok(reassembly.size <= LIMITS_DEFAULT.fragmentPacketCountMax);
    assert.equal(displaced, stored - reassembly.size);
  });
}

test("bytes are bounded: the oldest give way, a packet that cannot fit at all is refused", () => {
  const reassembly = new Reassembly({ ...LIMITS_DEFAULT, fragmentBytesMax: 2_000 });
  const pieces = (id: number) => fragmentPacket(packetOf(UP, 3_000), 804, id);
  const add = (bytes: Uint8Array | undefined) =>
    reassembly.add(bytes as Uint8Array, header(bytes as Uint8Array), 0);
  assert.equal(add(pieces(1)[0]), undefined);
  assert.equal(add(pieces(2)[0]), undefined);
  assert.equal(add(pieces(2)[1]), undefined);
  assert.equal(reassembly.takeDisplaced(), 1);
  assert.equal(add(pieces(2)[2]), "fragment-limit");
  assert.equal(reassembly.size, 0);
});

for (const [name, route, endpointAddress] of [
  ["IPv4", UP, ENDPOINT],
  ["IPv6", UP6, "2001:db8:2::20"],
] as const) {
  test(`a fragmented message passes with a changed port, its checksum right, in fragments again: ${name}`, async () => {
    const rig = new Rig({
      memberNumber: 1,
      services: [
        serviceOf({
          vips: [route.destination],
          endpoints: [{ address: endpointAddress, port: ENDPOINT_PORT, weight: 1, state: "active" }],
        }),
      ],
    });
    const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 5);
    const endpoint = new EndpointHost(ENDPOINT_PORT, 0, 6);
    const init = await rig.one(client.init(route));
    assert.notEqual(init.packet.sourcePort, CLIENT_PORT);
    client.acceptInitAck(await rig.one(endpoint.initAck(init)));
    await rig.one(client.cookieEcho(route));
    await rig.one(endpoint.cookieAck({ source: endpointAddress, destination: route.destination }));
    const data = Uint8Array.from({ length: 16_000 }, (_, i) => i & 0xff);
    const packet = client.packet(route, [encodeData({ tsn: 1, data })]);
    for (const fragment of fragmentPacket(packet, 1_280, 4)) rig.fastPath.inject(fragment);
    await settled();
    const reassembly = new Reassembly(LIMITS_DEFAULT);
    let whole: Uint8Array | undefined;
    for (const { packet: fragment } of rig.fastPath.takeOutgoing()) {
      assert.ok(fragment.length <= 1_280);
      const result = reassembly.add(fragment, header(fragment), 0);
      if (typeof result === "object") whole = result.packet;
    }
    assert.ok(whole);
    const seen = see(whole);
    assert.deepEqual([seen.source, seen.destination], [route.destination, endpointAddress]);
    assert.equal(seen.packet.sourcePort, init.packet.sourcePort);
    assert.deepEqual(rig.drops(), {});
  });
}

test("fragments that never become whole are counted", async () => {
  const rig = new Rig();
  rig.fastPath.inject(fragmentPacket(packetOf(UP, 2_000), 804, 1)[0] as Uint8Array);
  rig.clock.advance(6_000);
  assert.equal(rig.drops()["fragment-timeout"], 1);
});

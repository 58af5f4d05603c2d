import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encodeAddress, encodeInit } from "../encode/chunks.ts";
import { encodeChunk, encodePacket, encodeParameter } from "../encode/packet.ts";
import { type Init, parseInit } from "../wire/init.ts";
import { isMalformed } from "../wire/malformed.ts";
import { PARAMETER } from "../wire/numbers.ts";
import { type Packet, parsePacket } from "../wire/packet.ts";
import { parameterValue } from "../wire/parameters.ts";
import { type AddressFamilies, offeredFamilies, rewriteInit } from "./init.ts";

interface Golden {
  in: string;
  in_chunk_len: number;
  addrs_in: [number, string][];
  vips: string[];
  out: string;
}

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const ipv4 = (text: string) => Uint8Array.from(text.split("."), Number);

function parse(bytes: Uint8Array): { packet: Packet; init: Init } {
  const packet = parsePacket(bytes);
  assert.ok(!isMalformed(packet));
  const init = parseInit(packet.chunks[0] as Packet["chunks"][number]);
  assert.ok(!isMalformed(init));
  return { packet, init };
}

const golden = JSON.parse(
  readFileSync(new URL("../../../../test/vectors/golden_init.json", import.meta.url), "utf8"),
) as Record<string, Golden>;

for (const [name, vector] of Object.entries(golden)) {
  test(`golden: ${name}`, () => {
    const { packet, init } = parse(hex(vector.in));
    assert.equal(init.chunk.length, vector.in_chunk_len);
    const out = hex(vector.out);
    const rewritten = rewriteInit({
      init,
      packetStart: packet.start,
      sourcePort: ((out[0] as number) << 8) | (out[1] as number),
      destinationPort: ((out[2] as number) << 8) | (out[3] as number),
      vips: vector.vips.map(ipv4),
      families: { ipv4: true, ipv6: false },
    });
    assert.ok(!isMalformed(rewritten));
    assert.equal(Buffer.from(rewritten.packet).toString("hex"), vector.out);
  });
}

const VIP4 = [ipv4("203.0.113.1"), ipv4("198.51.100.1")];
const VIP6 = Uint8Array.from({ length: 16 }, (_, i) => (i === 0 ? 0xfd : i));

function initOf(...parameters: Uint8Array[]): Uint8Array {
  const chunks = [encodeInit({ initiateTag: 0x1122_3344, parameters })];
  return encodePacket({ sourcePort: 36_000, destinationPort: 5_000, verificationTag: 0, chunks });
}

function rewritten(bytes: Uint8Array, vips: Uint8Array[], families: AddressFamilies): Init {
  const { packet, init } = parse(bytes);
  const result = rewriteInit({
    init,
    packetStart: packet.start,
    sourcePort: 40_001,
    destinationPort: 5_000,
    vips,
    families,
  });
  assert.ok(!isMalformed(result));
  return parse(result.packet).init;
}

const IPV4_ONLY = { ipv4: true, ipv6: false };
const BOTH = { ipv4: true, ipv6: true };
const valuesOf = (init: Init) => init.parameters.map((each) => [each.type, [...parameterValue(each)]]);

test("what a translator cannot carry is removed, all else is byte exact and in order", () => {
  const cookiePreservative = encodeParameter(PARAMETER.COOKIE_PRESERVATIVE, Uint8Array.of(0, 0, 1, 2));
  const unknown = encodeParameter(0x9abc, Uint8Array.of(1, 2, 3));
  const init = rewritten(
    initOf(
      cookiePreservative,
      encodeParameter(PARAMETER.ZERO_CHECKSUM, new Uint8Array(4)),
      encodeParameter(PARAMETER.SET_PRIMARY, new Uint8Array(12)),
      encodeParameter(PARAMETER.ADD_ADDRESS, new Uint8Array(12)),
      encodeParameter(PARAMETER.DELETE_ADDRESS, new Uint8Array(12)),
      encodeParameter(PARAMETER.SUPPORTED_EXTENSIONS, Uint8Array.of(0xc1, 0x80, 0x81)),
      unknown,
    ),
    [VIP4[0] as Uint8Array],
    IPV4_ONLY,
  );
  assert.deepEqual(valuesOf(init), [
    [PARAMETER.COOKIE_PRESERVATIVE, [0, 0, 1, 2]],
    [0x9abc, [1, 2, 3]],
  ]);
});

test("a single VIP is not listed, and the client's addresses still go", () => {
  const init = rewritten(initOf(encodeAddress(ipv4("10.1.0.10"))), [VIP4[0] as Uint8Array], IPV4_ONLY);
  assert.deepEqual(init.addresses, []);
});

test("the VIPs of the families that both sides have, in the service's order", () => {
  const listing = initOf(encodeAddress(ipv4("10.1.0.10")), encodeAddress(VIP6));
  const vips = [VIP4[0] as Uint8Array, VIP6, VIP4[1] as Uint8Array];
  assert.deepEqual(rewritten(listing, vips, BOTH).addresses, vips);
  assert.deepEqual(rewritten(listing, vips, IPV4_ONLY).addresses, VIP4);
});

test("Supported Address Types keep what is advertised, and vanish when nothing is left", () => {
  const types = (...values: number[]) =>
    encodeParameter(
      PARAMETER.SUPPORTED_ADDRESS_TYPES,
      Uint8Array.from(values.flatMap((value) => [0, value])),
    );
  assert.deepEqual(valuesOf(rewritten(initOf(types(5, 6, 11)), [...VIP4, VIP6], BOTH)).at(-1), [
    12,
    [0, 5, 0, 6],
  ]);
  assert.equal(rewritten(initOf(types(6)), VIP4, IPV4_ONLY).parameters.length, 2);
});

test("host names are reported, a tag of zero and a short address are refused", () => {
  assert.ok(parse(initOf(encodeParameter(PARAMETER.HOST_NAME, Uint8Array.of(97, 0)))).init.hostName);
  const cases: [Uint8Array, string][] = [
    [encodeInit({ initiateTag: 0 }), "initiate-tag-zero"],
    [
      encodeInit({ initiateTag: 1, parameters: [encodeParameter(5, Uint8Array.of(1, 2, 3))] }),
      "parameter-length",
    ],
    [encodeChunk(1, 0, new Uint8Array(12).fill(1)), "fixed-part-truncated"],
    [
      encodeInit({
        initiateTag: 1,
        parameters: [...Array<Uint8Array>(300).fill(encodeParameter(0x8000)), Uint8Array.of(0, 5, 0, 3)],
      }),
      "parameter-too-short",
    ],
  ];
  for (const [chunk, reason] of cases) {
    const packet = parsePacket(
      encodePacket({ sourcePort: 1, destinationPort: 2, verificationTag: 0, chunks: [chunk] }),
    );
    assert.ok(!isMalformed(packet));
    const init = parseInit(packet.chunks[0] as Packet["chunks"][number]);
    assert.ok(isMalformed(init));
    assert.equal(init.malformed, reason);
  }
});

test("hundreds of parameters are no fault: all addresses are read, and the VIPs stand in their place", () => {
  const addresses = Array.from({ length: 700 }, (_, i) =>
    encodeAddress(Uint8Array.of(10, 1, i >> 8, i & 0xff)),
  );
  const others = Array<Uint8Array>(700).fill(encodeParameter(0xc0de, Uint8Array.of(1, 2, 3, 4)));
  // The longest INIT that a packet holds: what is added must not count before what goes.
  const fill = Array<Uint8Array>(6_000).fill(encodeAddress(Uint8Array.of(10, 2, 0, 1)));
  for (const parameters of [
    [...addresses, ...others],
    [...others, ...addresses],
    [...addresses, ...fill],
  ]) {
    const { init } = parse(initOf(...parameters));
    assert.equal(init.parameters.length, parameters.length);
    const result = rewritten(initOf(...parameters), VIP4, IPV4_ONLY);
    assert.deepEqual(result.addresses.map(String), VIP4.map(String));
    const stayed = result.parameters.filter(({ type }) => type === 0xc0de).length;
    assert.equal(stayed, parameters.includes(others[0] as Uint8Array) ? 700 : 0);
  }
});

test("the families a sender offers are its source's and its list's", () => {
  assert.deepEqual(offeredFamilies(4, []), IPV4_ONLY);
  assert.deepEqual(offeredFamilies(4, [VIP6]), BOTH);
});

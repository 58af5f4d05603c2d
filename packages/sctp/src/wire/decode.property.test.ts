// Bytes are hostile: whatever arrives, decoding returns, and what it returns lies inside the buffer.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import fc from "fast-check";
import { verifyChecksum } from "../checksum/crc32c.ts";
import { IpHeader } from "../ip/header.ts";
import { filterErrorCauses } from "../rewrite/error-causes.ts";
import { offeredFamilies, rewriteInit } from "../rewrite/init.ts";
import { parseInit } from "./init.ts";
import { isMalformed } from "./malformed.ts";
import { CHUNK } from "./numbers.ts";
import { allChunks, bundlingFault, type Chunk, type Packet, parsePacket } from "./packet.ts";
import { parametersOf, parseCauses } from "./parameters.ts";

const url = new URL("../../../../test/vectors/", import.meta.url);
const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const captured = (
  JSON.parse(readFileSync(new URL("pcap_packets.json", url), "utf8")) as { sctp: string }[]
).map(({ sctp }) => hex(sctp));
const golden = Object.values(
  JSON.parse(readFileSync(new URL("golden_init.json", url), "utf8")) as Record<string, { in: string }>,
).map((vector) => hex(vector.in));

/** A real packet with some bytes overwritten, cut or extended. */
const mutated = fc
  .record({
    base: fc.constantFrom(...captured.slice(0, 40), ...golden, ...golden),
    edits: fc.array(fc.tuple(fc.nat(1500), fc.integer({ min: 0, max: 255 })), { maxLength: 6 }),
    cut: fc.nat(40),
    tail: fc.uint8Array({ maxLength: 8 }),
  })
  .map(({ base, edits, cut, tail }) => {
    const bytes = new Uint8Array([
      ...base.subarray(0, Math.max(0, base.length - (cut > 30 ? cut : 0))),
      ...tail,
    ]);
    for (const [at, value] of edits) if (bytes.length > 0) bytes[at % bytes.length] = value;
    return bytes;
  });

const VIPS = [
  Uint8Array.of(203, 0, 113, 1),
  Uint8Array.of(198, 51, 100, 1),
  Uint8Array.from({ length: 16 }, (_, i) => i + 1),
];

function inside(chunk: Chunk, packet: Packet): boolean {
  return chunk.length >= 4 && chunk.offset >= packet.start + 12 && chunk.offset + chunk.length <= packet.end;
}

function exercise(bytes: Uint8Array): void {
  const packet = parsePacket(bytes);
  if (isMalformed(packet)) {
    assert.ok(packet.offset <= bytes.length);
    return;
  }
  assert.ok(packet.chunks.length >= 1 && packet.chunks.length <= packet.chunkCount);
  assert.equal([...allChunks(packet)].length, packet.chunkCount);
  bundlingFault(packet);
  for (const chunk of packet.chunks) {
    assert.ok(inside(chunk, packet));
    const parameters = parametersOf(chunk);
    if (!isMalformed(parameters)) {
      for (const parameter of parameters) {
        assert.ok(
          parameter.length >= 4 && parameter.offset + parameter.length <= chunk.offset + chunk.length,
        );
      }
    }
    parseCauses(chunk);
    if (chunk.type === CHUNK.INIT || chunk.type === CHUNK.INIT_ACK) exerciseInit(packet, chunk);
  }
  const filtered = filterErrorCauses(packet, () => false);
  if (!isMalformed(filtered)) assert.ok(verifyChecksum(filtered, 0, filtered.length));
}

function exerciseInit(packet: Packet, chunk: Chunk): void {
  const init = parseInit(chunk);
  if (isMalformed(init)) return;
  const rewritten = rewriteInit({
    init,
    packetStart: packet.start,
    sourcePort: 40_001,
    destinationPort: 7_000,
    vips: VIPS,
    families: offeredFamilies(4, init.addresses),
  });
  if (isMalformed(rewritten)) return;
  const again = parsePacket(rewritten.packet);
  assert.ok(!isMalformed(again) && verifyChecksum(rewritten.packet, 0, rewritten.packet.length));
  const result = parseInit(again.chunks[0] as Chunk);
  assert.ok(!isMalformed(result));
  assert.equal(result.initiateTag, init.initiateTag);
  // Only VIPs, each once, in their order.
  assert.deepEqual(
    result.addresses.map(String),
    rewritten.advertised.length > 1 ? rewritten.advertised.map(String) : [],
  );
  assert.deepEqual(result.stateCookie, init.stateCookie);
}

test("damaged real packets", () => {
  fc.assert(fc.property(mutated, exercise), { numRuns: 3_000 });
});

test("random bytes", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), exercise), { numRuns: 2_000 });
});

test("many random chunks", () => {
  const header = [0x13, 0x88, 0x13, 0x89, 0, 0, 0, 0xff, 0, 0, 0, 0];
  const chunk = fc
    .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 3 }), fc.uint8Array({ maxLength: 8 }))
    .map(([type, flags, value]) => [
      type,
      flags,
      0,
      4 + value.length,
      ...value,
      ...Array(-value.length & 3).fill(0),
    ]);
  const chunks = fc.array(chunk, { minLength: 50, maxLength: 400, size: "max" });
  fc.assert(
    fc.property(chunks, (all) => exercise(Uint8Array.from([...header, ...all.flat()]))),
    { numRuns: 300 },
  );
});

test("random bytes as an IP header", () => {
  const header = new IpHeader();
  const versions = fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x00);
  fc.assert(
    fc.property(versions, fc.uint8Array({ minLength: 1, maxLength: 120 }), (first, bytes) => {
      bytes[0] = first;
      if (header.read(bytes) !== undefined) return;
      assert.ok(header.payloadOffset <= header.end && header.end <= bytes.length);
    }),
    { numRuns: 3_000 },
  );
});

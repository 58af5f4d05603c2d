import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  encodeAbort,
  encodeCookieAck,
  encodeCookieEcho,
  encodeData,
  encodeInit,
  encodeSack,
} from "../encode/chunks.ts";
import { encodeChunk, encodePacket } from "../encode/packet.ts";
import { isMalformed, type MalformedReason } from "./malformed.ts";
import { CHUNK, CHUNK_KEPT_COUNT } from "./numbers.ts";
import { allChunks, bundlingFault, chunkValue, findChunk, type Packet, parsePacket } from "./packet.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(" ", ""), "hex"));
const HEADER = "1388 1389 000000ff 00000000";

function reasonOf(bytes: Uint8Array): MalformedReason | undefined {
  const packet = parsePacket(bytes);
  return isMalformed(packet) ? packet.malformed : undefined;
}

test("the captures' packets show the chunks that their index names", () => {
  const url = new URL("../../../../test/vectors/pcap_packets.json", import.meta.url);
  for (const { sctp, chunks } of JSON.parse(readFileSync(url, "utf8")) as {
    sctp: string;
    chunks: number[];
  }[]) {
    const packet = parsePacket(hex(sctp));
    assert.ok(!isMalformed(packet));
    assert.deepEqual(
      packet.chunks.map((chunk) => chunk.type),
      chunks,
    );
    assert.equal(bundlingFault(packet), undefined);
  }
});

test("each malformation has its reason", () => {
  const cases: [string, MalformedReason | undefined][] = [
    ["1388 1389 000000ff 000000", "packet-too-short"],
    ["0000 1389 000000ff 00000000 0b000004", "port-zero"],
    ["1388 0000 000000ff 00000000 0b000004", "port-zero"],
    [HEADER, "no-chunk"],
    [`${HEADER} 0b0000`, "chunk-header-truncated"],
    [`${HEADER} 0b000000`, "chunk-too-short"],
    [`${HEADER} 0b000003`, "chunk-too-short"],
    [`${HEADER} 0b000005`, "chunk-overrun"],
    [`${HEADER} 0b000004 0b`, "chunk-header-truncated"],
    // Padding of the last chunk may be missing, that of another may not: what follows is read as a header.
    [`${HEADER} 0b000005aa`, undefined],
    [`${HEADER} 0b000005aa 000000 0b000004`, undefined],
    [HEADER + "0b000004".repeat(64), undefined],
    [HEADER + "0b000004".repeat(16_380), undefined],
    [`${HEADER}${"0b000004".repeat(300)}0b000003`, "chunk-too-short"],
  ];
  for (const [text, reason] of cases) assert.equal(reasonOf(hex(text)), reason, text);
});

test("of many chunks the first are kept, and the first of each type behind them; all can be walked", () => {
  const chunks = [
    ...Array<Uint8Array>(100).fill(encodeChunk(CHUNK.PAD, 0)),
    encodeSack(9),
    ...Array<Uint8Array>(100).fill(encodeSack(10)),
    encodeAbort({ reflected: true }),
    encodeAbort(),
  ];
  const packet = parsePacket(
    encodePacket({ sourcePort: 1, destinationPort: 2, verificationTag: 3, chunks }),
  ) as Packet;
  assert.equal(packet.chunkCount, chunks.length);
  assert.deepEqual(
    packet.chunks.map(({ type }) => type),
    [...Array(CHUNK_KEPT_COUNT).fill(CHUNK.PAD), CHUNK.SACK, CHUNK.ABORT],
  );
  assert.equal(findChunk(packet, CHUNK.ABORT)?.flags, 1);
  const all = [...allChunks(packet)];
  assert.deepEqual(
    all.map(({ type, length }) => [type, length]),
    chunks.map((bytes) => [bytes[0], bytes.length]),
  );
});

test("a packet inside a larger buffer ends where it is told to", () => {
  const inner = encodePacket({
    sourcePort: 1,
    destinationPort: 2,
    verificationTag: 3,
    chunks: [encodeSack(9)],
  });
  const frame = new Uint8Array(inner.length + 30).fill(0xee);
  frame.set(inner, 20);
  const packet = parsePacket(frame, 20, 20 + inner.length) as Packet;
  assert.equal(packet.chunks.length, 1);
  assert.deepEqual(
    chunkValue(findChunk(packet, CHUNK.SACK) as Packet["chunks"][number]),
    inner.subarray(16, 28),
  );
});

test("which chunks may travel together (RFC 9260 §6.10, §8.5.1)", () => {
  const init = encodeInit({ initiateTag: 1 });
  const data = encodeData({ tsn: 1, data: new Uint8Array(1) });
  const auth = encodeChunk(CHUNK.AUTH, 0, new Uint8Array(8));
  const cases: [number, Uint8Array[], MalformedReason | undefined][] = [
    [0, [init], undefined],
    [9, [init], "init-tag"],
    [0, [data], "init-tag"],
    [0, [init, data], "chunk-not-alone"],
    [9, [encodeSack(1), encodeChunk(CHUNK.SHUTDOWN_COMPLETE, 0)], "chunk-not-alone"],
    [9, [encodeCookieEcho(new Uint8Array(8)), data], undefined],
    [9, [data, encodeCookieEcho(new Uint8Array(8))], "chunk-not-first"],
    [9, [auth, encodeCookieEcho(new Uint8Array(8)), data], undefined],
    [9, [data, encodeCookieAck()], "chunk-not-first"],
    [9, [encodeSack(1), encodeAbort()], undefined],
  ];
  for (const [verificationTag, chunks, fault] of cases) {
    const packet = parsePacket(encodePacket({ sourcePort: 1, destinationPort: 2, verificationTag, chunks }));
    assert.ok(!isMalformed(packet));
    assert.equal(bundlingFault(packet), fault);
  }
});

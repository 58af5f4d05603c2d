import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK, encodeAbort, encodeChunk, encodeData, encodeSack } from "@holdfast/sctp";
import { sctpPacket } from "../packets/build.ts";
import { brief } from "./brief.ts";
import { type CapturedPacket, readPacket } from "./packet.ts";

const FLOW = {
  source: "198.18.1.10",
  destination: "203.0.113.1",
  sourcePort: 36412,
  destinationPort: 38412,
} as const;
const WHERE = "12:30:00.250 198.18.1.10:36412 > 203.0.113.1:38412 tag 0000abcd";

function captured(...chunks: Uint8Array[]): CapturedPacket {
  const bytes = Buffer.concat([Buffer.alloc(12), Buffer.from([8, 0]), sctpPacket(FLOW, 0xabcd, chunks)]);
  const packet = readPacket({ wallMs: Date.UTC(2026, 0, 1, 12, 30, 0, 250), bytes });
  assert.ok(packet);
  return packet;
}

test("a packet is told in one line: TSNs, what is acknowledged, why it was aborted", () => {
  assert.equal(
    brief(captured(encodeSack(41, 1_000), encodeData({ tsn: 7, data: Buffer.from("x") }))),
    `${WHERE} SACK 41 (window 1000) DATA 7`,
  );
  const gap = Buffer.from([0, 0, 0, 41, 0, 0, 3, 232, 0, 1, 0, 0, 0, 2, 0, 3]);
  assert.equal(
    brief(captured(encodeChunk(CHUNK.SACK, 0, gap))),
    `${WHERE} SACK 41 (window 1000, 1 gap blocks)`,
  );
  assert.equal(
    brief(captured(encodeAbort({ causes: [Buffer.from([0, 12, 0, 4])] }))),
    `${WHERE} ABORT (cause 12)`,
  );
  assert.equal(brief(captured(encodeAbort())), `${WHERE} ABORT`);
});

test("what is cut short or unknown is told by its name", () => {
  assert.equal(brief(captured(encodeChunk(CHUNK.DATA, 3, Buffer.from([1])))), `${WHERE} DATA`);
  assert.equal(brief(captured(encodeChunk(200, 0))), `${WHERE} CHUNK_200`);
});

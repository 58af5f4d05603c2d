import assert from "node:assert/strict";
import test from "node:test";
import { parsePcap } from "./pcap.ts";

function file(...records: readonly (readonly [captured: number, onTheWire: number])[]): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b23c4d);
  return Buffer.concat([
    header,
    ...records.map(([captured, onTheWire]) => {
      const record = Buffer.alloc(16 + captured, 7);
      record.writeUInt32LE(captured, 8);
      record.writeUInt32LE(onTheWire, 12);
      return record;
    }),
  ]);
}

test("whole packets are read, and a last record that is still being written is left out", () => {
  const whole = file([60, 60], [80, 80]);
  assert.deepEqual(
    parsePcap(whole.subarray(0, -1)).map(({ bytes }) => bytes.length),
    [60],
  );
});

test("a packet of which only a part was captured is no packet to judge by", () => {
  assert.throws(() => parsePcap(file([80, 9_000])), /a packet of 9000 bytes, of which 80 were captured/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, duration, milliseconds, percent, short } from "./format.ts";

test("numbers are as short as they can be read", () => {
  assert.deepEqual([0, 1234, 12_345, 1_000_000, 0.25].map(short), ["0", "1,234", "12.3k", "1.0M", "0.3"]);
  assert.deepEqual([0, 59_999, 95_000, 7_260_000, 200_000_000].map(duration), [
    ...["0 s", "59 s", "1 min 35 s", "2 h 1 min", "2 d 7 h"],
  ]);
  assert.deepEqual([0.42, 123.4, 12_345].map(milliseconds), ["0.4 ms", "123 ms", "12,345 ms"]);
  assert.deepEqual([0, 512, 2048].map(bytes), ["0", "512 B", "2 KiB"]);
  assert.deepEqual([0, 0.0001, 0.05, 0.5].map(percent), ["0 %", "< 0.1 %", "5.0 %", "50 %"]);
});

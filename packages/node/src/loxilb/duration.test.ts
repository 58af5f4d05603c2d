import assert from "node:assert/strict";
import { test } from "node:test";
import { durationText } from "./duration.ts";

test("durations read as Go prints them", () => {
  assert.deepEqual([undefined, 0, 0.0004, 0.12, 0.3404, 1, 1.2504, 12.5, 2500].map(durationText), [
    "",
    "0µs",
    "0µs",
    "120µs",
    "340µs",
    "1ms",
    "1.25ms",
    "12.5ms",
    "2.5s",
  ]);
});

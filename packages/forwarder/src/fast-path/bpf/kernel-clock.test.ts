import assert from "node:assert/strict";
import { test } from "node:test";
import { frequencyOf } from "./kernel-clock.ts";

const sampleAt = (frequency: number, timeMs: number) => ({
  jiffies: (Math.floor(frequency * (timeMs / 1_000 - 300)) + 3 * 2 ** 32) % 2 ** 32,
  timeMs,
});

test("the frequency follows from one sample, at any age of the machine", () => {
  for (const frequency of [100, 250, 300, 1_000]) {
    // A minute, an hour, a day, and past the wrap of jiffies at 1,000 a second.
    for (const seconds of [60, 3_600, 86_400, 60 * 86_400, 400 * 86_400]) {
      const timeMs = seconds * 1_000 + 3.7;
      assert.equal(frequencyOf(sampleAt(frequency, timeMs)), frequency, `${frequency} after ${seconds} s`);
    }
  }
});

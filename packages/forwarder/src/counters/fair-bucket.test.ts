import assert from "node:assert/strict";
import { test } from "node:test";
import { FairBucket } from "./fair-bucket.ts";

test("one source gets a tenth, however much it asks for, and the others the rest", () => {
  const bucket = new FairBucket(1_000, 7);
  const taken = (source: string, count: number) => {
    let sum = 0;
    for (let i = 0; i < count; i++) if (bucket.take(0, source)) sum += 1;
    return sum;
  };
  assert.equal(taken("100.64.1", 10_000), 100);
  assert.equal(taken("100.64.2", 50), 50);
  // All of it is bounded, whoever asks.
  let sum = 0;
  for (let i = 0; i < 5_000; i++) if (bucket.take(0, `source ${i}`)) sum += 1;
  assert.equal(sum, 1_000 - 150);
  // Time gives it back, the source's and the whole.
  assert.ok(bucket.take(1_000, "100.64.1"));
});

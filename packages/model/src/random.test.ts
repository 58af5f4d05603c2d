import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "./random.ts";

test("the same seed gives the same numbers, another seed others", () => {
  const [a, b, c] = [seededRandom(7), seededRandom(7), seededRandom(8)];
  const numbers = Array.from({ length: 16 }, () => a.uint32());
  assert.deepEqual(
    Array.from({ length: 16 }, () => b.uint32()),
    numbers,
  );
  assert.notDeepEqual(
    Array.from({ length: 16 }, () => c.uint32()),
    numbers,
  );
});

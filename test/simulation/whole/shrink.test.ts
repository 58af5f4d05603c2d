import assert from "node:assert/strict";
import { test } from "node:test";
import { kindOf, shrink } from "./shrink.ts";

test("what is left is what it takes, in its order", async () => {
  const items = Array.from({ length: 60 }, (_, i) => i);
  const left = await shrink(
    items,
    async (part) => part.includes(7) && part.includes(31) && part.includes(58),
  );
  assert.deepEqual(left, [7, 31, 58]);
});

test("the number of tries is bounded", async () => {
  let tries = 0;
  await shrink(
    Array.from({ length: 5_000 }, (_, i) => i),
    async () => {
      tries++;
      return false;
    },
  );
  assert.ok(tries <= 160);
});

test("violations of one kind differ in numbers only", () => {
  const [a, b] = [
    "812 ms: a3 (c1:36416): its client was told",
    "5120 ms: a11 (c4:36418): its client was told",
  ];
  assert.equal(kindOf(a), kindOf(b));
  assert.notEqual(kindOf(a), kindOf("812 ms: a3 (c1:36416): its endpoint was told"));
});

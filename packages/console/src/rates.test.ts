import assert from "node:assert/strict";
import { test } from "node:test";
import { rising, type Sample } from "./rates.ts";

const sample = (atMs: number, counts: Record<string, Record<string, number>>): Sample => ({
  atMs,
  counts: new Map(Object.entries(counts).map(([name, by]) => [name, new Map(Object.entries(by))])),
});

test("only what rises is told, the steepest first, with the members where it does", () => {
  const before = sample(0, { a: { m1: 5, m2: 5 }, b: { m1: 1 }, c: { m1: 9 } });
  const now = sample(2_000, { a: { m1: 5, m2: 7 }, b: { m1: 11 }, c: { m1: 9 } });
  assert.deepEqual(rising(before, now), [
    { name: "b", total: 11, perSecond: 5, members: ["m1"] },
    { name: "a", total: 12, perSecond: 1, members: ["m2"] },
  ]);
});

test("a restart is no negative rate; a member that was not heard before has none", () => {
  const before = sample(0, { a: { m1: 500 } });
  const now = sample(1_000, { a: { m1: 3, m2: 1_000_000 }, b: { m1: 2 } });
  assert.deepEqual(
    rising(before, now).map(({ name, perSecond }) => [name, perSecond]),
    [
      ["a", 3],
      ["b", 2],
    ],
  );
});

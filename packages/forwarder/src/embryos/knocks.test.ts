import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@holdfast/model";
import { LIMITS_DEFAULT } from "../limits.ts";
import { Knocks } from "./knocks.ts";

test("who knocks again is known: not at once, not too late, and from the last time on", () => {
  const knocks = new Knocks(seededRandom(1), LIMITS_DEFAULT);
  const { initAgainLeastMs: least, initAgainMostMs: most } = LIMITS_DEFAULT;
  assert.equal(knocks.again("a", 1_000), false, "the first time");
  assert.equal(knocks.again("a", 1_000 + least - 1), false, "a copy");
  assert.equal(knocks.again("b", 1_000 + least), false, "somebody else");
  assert.equal(knocks.again("a", 1_000 + least), true);
  assert.equal(knocks.again("a", 1_000 + least + 1), false, "just let in");
  assert.equal(knocks.again("a", 1_000 + 2 * least), true);
  assert.equal(knocks.again("a", 1_001 + 2 * least + most), false, "long ago");
});

test("most of those who were refused are still known after a second of a flood", () => {
  const knocks = new Knocks(seededRandom(1), LIMITS_DEFAULT);
  for (let n = 0; n < 1_000; n++) knocks.again(`client ${n}`, 0);
  for (let n = 0; n < 30_000; n++) knocks.again(`flood ${n}`, n / 30);
  let known = 0;
  for (let n = 0; n < 1_000; n++) if (knocks.again(`client ${n}`, 1_000)) known += 1;
  assert.ok(known > 800, `${known} of 1,000`);
});

// Members that come, go for good, and return under new names with numbers that have rested. No association is lost, none haunts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryJournal } from "@holdfast/sync/testing";
import { simulate } from "./apart.ts";
import { MOVING } from "./simulation.ts";

/** The long stage has sixty more behind them. */
const SEED_COUNT = 40;
/**
 * Confirmations that waited for a word, and acknowledgements that waited for a tick, were lost in the
 * first five. In the next a member dropped what it alone knew: the others' floor was on its disk before that
 * was written again. In the last two halves each timed a session out, and neither end covered what both knew.
 */
const FOUND = [20_002, 100_457, 100_475, 100_537, 100_559, 101_096, 103_960];

test("seeds that found something once", async () => {
  for (const seed of FOUND) {
    const { violations, story } = await simulate({ seed, journals: memoryJournal, ...MOVING });
    assert.deepEqual(violations, [], `seed ${seed}:\n${story.join("\n")}`);
  }
});

test(`${SEED_COUNT} seeds with members that come and go`, async () => {
  let came = 0;
  let went = 0;
  let returned = 0;
  for (let seed = 20_001; seed <= 20_000 + SEED_COUNT; seed++) {
    const { violations, story } = await simulate({
      seed,
      journals: memoryJournal,
      ...MOVING,
    });
    assert.deepEqual(violations, [], `seed ${seed}:\n${story.join("\n")}`);
    const numbers = story.flatMap((line) => /comes with number (\d+)/.exec(line)?.[1] ?? []);
    came += numbers.length;
    went += story.filter((line) => line.includes("goes for good")).length;
    returned += numbers.length - new Set(numbers).size;
  }
  assert.ok(came > SEED_COUNT && went > SEED_COUNT / 2, `${came} came, ${went} went`);
  assert.ok(returned > 0, "no number was given again");
});

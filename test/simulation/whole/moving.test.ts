// Whole clusters whose list of members changes while associations live, with members of several versions.
// More seeds: npm run simulate -- --whole --moving --seeds N
import assert from "node:assert/strict";
import { test } from "node:test";
import { simulateWhole } from "../apart.ts";
import { movingScheduleOf } from "./moving-schedule.ts";

const SEED_COUNT = 6;

const runs = new Map<number, ReturnType<typeof simulateWhole>>();

/** With its story. What one test has run, another one need not. */
function runOf(seed: number): ReturnType<typeof simulateWhole> {
  const run = runs.get(seed) ?? simulateWhole({ schedule: movingScheduleOf(seed), story: true });
  runs.set(seed, run);
  return run;
}

test(`${SEED_COUNT} seeds of whole clusters with members that come, leave, die for good and are replaced`, async (context) => {
  const totals: Record<string, number> = {};
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const result = await runOf(seed);
    const again = `again: npm run simulate -- --whole --moving --seed ${seed} --story`;
    assert.deepEqual(result.violations, [], again);
    for (const [name, count] of Object.entries(result.totals)) totals[name] = (totals[name] ?? 0) + count;
  }
  context.diagnostic(JSON.stringify(totals));
  for (const name of ["members.come", "members.leave", "members.die", "upgrades", "kills.machine"])
    assert.ok((totals[name] ?? 0) > 0, `no ${name}`);
});

test("the same seed is the same run; another one is another", async () => {
  const [first, other] = [await runOf(3), await runOf(4)];
  const again = await simulateWhole({ schedule: movingScheduleOf(3), story: true });
  assert.deepEqual(again, first);
  assert.notEqual(other.hash, first.hash);
});

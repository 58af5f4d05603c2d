// The everyday part of the simulation of whole clusters. More seeds: npm run simulate -- --whole --seeds N
import assert from "node:assert/strict";
import { test } from "node:test";
import { automergeJournal } from "@holdfast/sync/testing";
import { simulateWhole } from "../apart.ts";
import { WHOLE_FAULTS, type WholeFault } from "./faults.ts";
import { scheduleOf } from "./schedule.ts";
import { simulateWhole as simulateHere } from "./simulation.ts";

const SEED_COUNT = 12;
const AUTOMERGE_SEED = 5_001;
/** Seeds after which a fault that showed nothing counts as missed. */
const FAULT_SEED_COUNT_MAX = 48;

const runs = new Map<number, ReturnType<typeof simulateWhole>>();

/** With its story. What one test has run, another one need not. */
function runOf(seed: number): ReturnType<typeof simulateWhole> {
  const run = runs.get(seed) ?? simulateWhole({ schedule: scheduleOf(seed), story: true });
  runs.set(seed, run);
  return run;
}

test(`${SEED_COUNT} seeds of whole clusters`, async (context) => {
  const totals: Record<string, number> = {};
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const result = await runOf(seed);
    assert.deepEqual(result.violations, [], `again: npm run simulate -- --whole --seed ${seed} --story`);
    for (const [name, count] of Object.entries(result.totals)) totals[name] = (totals[name] ?? 0) + count;
  }
  context.diagnostic(JSON.stringify(totals));
  // A simulation in which nothing happens proves nothing.
  for (const name of [
    "kills.machine",
    "kills.daemon",
    "takeovers",
    "upgrades",
    "flaps",
    "retirements",
    "reloads",
  ])
    assert.ok((totals[name] ?? 0) > 0, `no ${name}`);
});

test("the same seed is the same run; another one is another", async () => {
  const [first, other] = [await runOf(3), await runOf(4)];
  // In this thread, and with nothing before it.
  const again = await simulateHere({ schedule: scheduleOf(3), story: true });
  assert.deepEqual(again, first);
  assert.notEqual(other.hash, first.hash);
});

test("one seed on Automerge's own journals", async () => {
  const { violations } = await simulateWhole({
    schedule: scheduleOf(AUTOMERGE_SEED),
    journals: automergeJournal,
  });
  assert.deepEqual(violations, []);
});

async function seedThatCatches(fault: WholeFault): Promise<{ seed: number; violation: string } | undefined> {
  for (let i = 0; i < FAULT_SEED_COUNT_MAX; i++) {
    const seed = i === 0 ? fault.seed : i;
    const { violations } = await simulateWhole({ schedule: scheduleOf(seed), fault });
    if (violations[0] !== undefined) return { seed, violation: violations[0] };
  }
  return undefined;
}

for (const fault of WHOLE_FAULTS) {
  test(`the simulation of whole clusters catches ${fault.name}`, async (context) => {
    const caught = await seedThatCatches(fault);
    assert.ok(caught !== undefined, `${FAULT_SEED_COUNT_MAX} seeds saw nothing wrong`);
    context.diagnostic(`seed ${caught.seed}: ${caught.violation}`);
  });
}

// The everyday part of the simulation; the long stage goes on where it ends (simulation.long.test.ts). More
// seeds: npm run simulate -- --seeds N
import assert from "node:assert/strict";
import { test } from "node:test";
import { automergeJournal, type JournalFactory, memoryJournal } from "@holdfast/sync/testing";
import { simulate } from "./apart.ts";
import { FAULTS, type Fault } from "./faults.ts";
import { simulate as simulateHere } from "./simulation.ts";

const MEMORY_SEED_COUNT = 300;
const AUTOMERGE_SEED_COUNT = 30;
/** Seeds after which a fault that showed nothing counts as missed. */
const FAULT_SEED_COUNT_MAX = 160;

async function run(name: string, journals: JournalFactory, from: number, count: number): Promise<void> {
  for (let seed = from; seed < from + count; seed++) {
    const { violations, memberCount } = await simulate({ seed, journals });
    assert.deepEqual(
      violations,
      [],
      `again: npm run simulate -- --from ${seed} --seeds 1 --journal ${name} --story   (${memberCount} members)`,
    );
  }
}

test(`${MEMORY_SEED_COUNT} seeds on the in-memory journal`, () =>
  run("memory", memoryJournal, 1, MEMORY_SEED_COUNT));

test(`${AUTOMERGE_SEED_COUNT} seeds on Automerge`, () =>
  run("automerge", automergeJournal, 5_001, AUTOMERGE_SEED_COUNT));

test("the same seed is the same run, on either journal, in this thread and another", async () => {
  for (const seed of [7, 8]) {
    const first = await simulate({ seed, journals: memoryJournal });
    assert.deepEqual(await simulateHere({ seed, journals: memoryJournal }), first);
    const onAutomerge = await simulate({ seed, journals: automergeJournal });
    assert.deepEqual(onAutomerge, first);
  }
});

test("what a simulation throws in its thread is thrown here, and the next one runs", async () => {
  const options = { seed: 7, journals: memoryJournal };
  await assert.rejects(simulate({ ...options, skip: [] as never }), /skip\?\.has is not a function/);
  assert.equal((await simulate(options)).seed, 7);
});

test("what cannot be named in another thread is refused", () => {
  const options = { seed: 7, journals: memoryJournal };
  assert.throws(() => simulate({ ...options, fault: { name: "of this test alone" } }), /not on the list/);
  assert.throws(() => simulate({ ...options, journals: { ...memoryJournal } }), /no name/);
});

async function seedThatCatches(fault: Fault): Promise<number | undefined> {
  const step = fault.needsLongPartition === true ? 8 : 1;
  for (let i = 0; i <= FAULT_SEED_COUNT_MAX / step; i++) {
    const seed = i === 0 ? fault.seed : i * step;
    if (seed === undefined) continue;
    const { violations } = await simulate({ seed, journals: memoryJournal, fault });
    if (violations.length > 0) return seed;
  }
  return undefined;
}

for (const fault of FAULTS) {
  test(`the simulation catches ${fault.name}`, async (context) => {
    const seed = await seedThatCatches(fault);
    assert.notEqual(seed, undefined, `${FAULT_SEED_COUNT_MAX} seeds saw nothing wrong`);
    context.diagnostic(`seed ${seed}`);
  });
}

// One port, one client, while the list of members grows and everything is late: with what decision 0360 asks
// for, and not without.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type VoteFault, Votes } from "./votes.ts";

const SEED_COUNT = 60;
const FAULT_SEED_COUNT_MAX = 150;
/** Each with a seed that is known to show it; the test begins there. */
const FAULTS: readonly (VoteFault & { readonly seed: number })[] = [
  { name: "votes that are counted under any list of members", seed: 235, isUnmarked: true },
  { name: "a list that changes whatever is lent under the one before", seed: 33, isUnsettled: true },
];

test(`${SEED_COUNT} seeds of ports that are voted for while the list of members changes`, async (context) => {
  const sums = { lent: 0, refused: 0, changes: 0 };
  for (let seed = 1; seed <= SEED_COUNT; seed++) {
    const { violations, totals, story } = await new Votes(seed).run();
    assert.deepEqual(violations, [], `seed ${seed}:\n${story.join("\n")}`);
    sums.lent += totals.lent;
    sums.refused += totals.refused;
    sums.changes += totals.changes;
  }
  context.diagnostic(JSON.stringify(sums));
  assert.ok(sums.lent > 5 * SEED_COUNT && sums.refused > 5 * SEED_COUNT, "ports are lent, and refused");
  assert.ok(sums.changes > SEED_COUNT, "the list changes");
});

for (const fault of FAULTS)
  test(`it catches ${fault.name}`, async (context) => {
    for (let i = 0; i < FAULT_SEED_COUNT_MAX; i++) {
      const seed = i === 0 ? fault.seed : i;
      const { violations } = await new Votes(seed, fault).run();
      if (violations[0] === undefined) continue;
      context.diagnostic(`seed ${seed}: ${violations[0]}`);
      return;
    }
    assert.fail(`${FAULT_SEED_COUNT_MAX} seeds saw nothing wrong`);
  });

// The seeds that follow the everyday ones. More: npm run simulate -- --seeds N
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryJournal } from "@holdfast/sync/testing";
import { simulate } from "./apart.ts";
import { MOVING } from "./simulation.ts";

const [FIRST, LAST] = [301, 1_000];
const [MOVING_FIRST, MOVING_LAST] = [20_041, 20_100];

test(`seeds ${FIRST} to ${LAST} on the in-memory journal`, async () => {
  for (let seed = FIRST; seed <= LAST; seed++) {
    const { violations } = await simulate({ seed, journals: memoryJournal });
    assert.deepEqual(
      violations,
      [],
      `again: npm run simulate -- --from ${seed} --seeds 1 --journal memory --story`,
    );
  }
});

test(`seeds ${MOVING_FIRST} to ${MOVING_LAST} with members that come and go`, async () => {
  for (let seed = MOVING_FIRST; seed <= MOVING_LAST; seed++) {
    const { violations } = await simulate({ seed, journals: memoryJournal, ...MOVING });
    assert.deepEqual(
      violations,
      [],
      `again: npm run simulate -- --replication --moving --seed ${seed} --story`,
    );
  }
});

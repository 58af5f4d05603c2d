// More seeds in which the list of members changes: whole clusters, replication, votes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryJournal } from "@holdfast/sync/testing";
import { simulate, simulateWhole } from "../apart.ts";
import { MOVING } from "../simulation.ts";
import { Votes } from "../votes/votes.ts";
import { movingScheduleOf } from "./moving-schedule.ts";

const WHOLE_SEED_COUNT = 8;
/** Long enough for numbers to rest and be given again. */
const PART_COUNT = 6;
const REPLICATION_SEED_COUNT = 200;
const VOTES_SEED_COUNT = 600;
const FROM = 10_001;

test(`${WHOLE_SEED_COUNT} seeds of whole clusters whose list of members changes`, async (context) => {
  let returned = 0;
  for (let seed = FROM; seed < FROM + WHOLE_SEED_COUNT; seed++) {
    const schedule = movingScheduleOf(seed, PART_COUNT);
    const { violations, story } = await simulateWhole({ schedule, story: true });
    assert.deepEqual(violations, [], `seed ${seed}:\n${story.join("\n")}`);
    const came = story.flatMap((line) => /: (\w+) is on the list/.exec(line)?.[1] ?? []);
    const numbers = new Set(schedule.machines?.slice(0, schedule.memberCount).map(({ number }) => number));
    for (const name of came) {
      const number = schedule.machines?.find((machine) => machine.name === name)?.number ?? -1;
      if (numbers.has(number)) returned++;
      numbers.add(number);
    }
  }
  context.diagnostic(`${returned} numbers were given again`);
  assert.ok(returned > 0, "no number was given again");
});

test(`${REPLICATION_SEED_COUNT} seeds of replication with members that come and go`, async () => {
  for (let seed = FROM; seed < FROM + REPLICATION_SEED_COUNT; seed++) {
    const { violations } = await simulate({ seed, journals: memoryJournal, ...MOVING });
    assert.deepEqual(
      violations,
      [],
      `again: npm run simulate -- --replication --moving --seed ${seed} --story`,
    );
  }
});

test(`${VOTES_SEED_COUNT} seeds of votes while the list changes`, async () => {
  for (let seed = FROM; seed < FROM + VOTES_SEED_COUNT; seed++) {
    const { violations, story } = await new Votes(seed).run();
    assert.deepEqual(violations, [], `seed ${seed}:\n${story.join("\n")}`);
  }
});

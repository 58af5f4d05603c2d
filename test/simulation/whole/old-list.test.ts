// A member whose file has a list of which nobody but itself is left loses its disk: today's members, who are
// strangers to it, tell it that its list is old.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memberName } from "./configuration.ts";
import { type ScheduledEvent, scheduleOf } from "./schedule.ts";
import { simulateWhole } from "./simulation.ts";

const MEMBER_COUNT = 3;
/** Two others die for good, and are replaced; each change settles. */
const FIRST_CHANGE_MS = 1_500;
const KILL_MS = 14_000;
const PEACE_MS = 17_000;
const OPEN_PERIOD_MS = 700;
/** Of VERSIONS: this build. */
const NOW = 1;

function schedule(seed: number, further: readonly ScheduledEvent[] = []) {
  const { clients } = scheduleOf(seed);
  const machines = [0, 1, 2, 3, 4].map((index) => {
    const name = index < MEMBER_COUNT ? memberName(index) : `n${index}`;
    return { index, name, number: index, version: NOW };
  });
  const events: ScheduledEvent[] = [
    { kind: "die", member: 1, atMs: FIRST_CHANGE_MS },
    { kind: "come", member: 3, atMs: FIRST_CHANGE_MS + 10 },
    { kind: "die", member: 2, atMs: FIRST_CHANGE_MS + 20 },
    { kind: "come", member: 4, atMs: FIRST_CHANGE_MS + 30 },
    { kind: "kill", member: 0, what: "machine", disk: "lost", forMs: 400, atMs: KILL_MS },
    ...further,
  ];
  for (let i = 0; 1_000 + i * OPEN_PERIOD_MS < PEACE_MS; i++)
    events.push({
      kind: "open",
      client: i % clients.length,
      service: i % 2,
      vip: i % 2,
      both: false,
      atMs: 1_000 + i * OPEN_PERIOD_MS,
    });
  events.sort((a, b) => a.atMs - b.atMs);
  return { seed, memberCount: MEMBER_COUNT, version: NOW, machines, clients, events, peaceAtMs: PEACE_MS };
}

test("it waits for the list that they have, and owns no VIP before", async () => {
  const { violations, totals, story } = await simulateWhole({ schedule: schedule(3), story: true });
  const told = story.join("\n");
  assert.deepEqual(violations, [], told);
  assert.equal(totals["members.die"], 2, told);
  assert.equal(totals["members.come"], 2, told);
  assert.equal(totals["lists.old"], 1, told);
  const after = story.slice(story.findIndex((line) => line.includes("m0: its machine dies")));
  const waits = after.findIndex((line) => /m0: the list of members here .* is old/.test(line));
  const returns = after.findIndex((line) => line.includes("m0: this member is on the list"));
  const owns = after.findIndex((line) => line.includes("m0 owns"));
  assert.ok(waits > 0 && returns > waits, told);
  assert.ok(owns === -1 || owns > returns, told);
});

test("cut off as it starts it serves alone, and is one of them again when it hears them", async () => {
  const sides = { members: [0], clients: [0, 1], endpoints: [0] };
  const cut = { kind: "split", ...sides, forMs: 1_500, atMs: KILL_MS + 100 } as const;
  const { violations, totals, story } = await simulateWhole({ schedule: schedule(4, [cut]), story: true });
  const told = story.join("\n");
  assert.deepEqual(violations, [], told);
  assert.equal(totals["lists.old"], 1, told);
  const after = story.slice(story.findIndex((line) => line.includes("m0: its machine dies")));
  const waits = after.findIndex((line) => /m0: the list of members here .* is old/.test(line));
  assert.ok(
    after.slice(0, waits).some((line) => line.includes("m0 owns")),
    told,
  );
  assert.ok(
    after.slice(waits).some((line) => line.includes("m0: this member is on the list")),
    told,
  );
});

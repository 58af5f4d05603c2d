import assert from "node:assert/strict";
import { test } from "node:test";
import { CounterMemory, REMEMBERED_COUNT_MAX } from "./counter-memory.ts";

const row = (client: string, up: number, down = 0) => ({
  member: "?",
  vip: "203.0.113.1",
  client,
  up: { packets: up, bytes: up * 100, ...(up > 0 && { lastSeenMsAgo: 10 }) },
  down: { packets: down, bytes: down * 100 },
});

test("a member that is not asked any more, or counts from zero again, takes nothing back", () => {
  let nowMs = 1_000;
  const memory = new CounterMemory(() => nowMs);
  memory.note("s", "m1", [row("1.1.1.1", 5, 3)]);
  nowMs += 500;
  const [kept] = memory.of("s", "m1");
  assert.deepEqual(kept?.up, { packets: 5, bytes: 500, lastSeenMsAgo: 510 });
  assert.equal(kept?.member, "m1");
  memory.note("s", "m1", []);
  assert.equal(memory.of("s", "m1")[0]?.down.packets, 3);
  const [anew] = memory.note("s", "m1", [row("1.1.1.1", 2, 1)]);
  assert.deepEqual([anew?.up.packets, anew?.down.packets, anew?.up.bytes], [7, 4, 700]);
  const [more] = memory.note("s", "m1", [row("1.1.1.1", 4, 2)]);
  assert.deepEqual([more?.up.packets, more?.down.packets], [9, 5]);
  assert.deepEqual(memory.of("s", "m2"), []);
});

test("what goes down belongs to the VIP: another client's row does not count it twice", () => {
  const memory = new CounterMemory(() => 0);
  memory.note("s", "m1", [row("1.1.1.1", 0, 3)]);
  const rows = memory.note("s", "m1", [row("2.2.2.2", 1, 4)]);
  assert.equal(
    rows.reduce((sum, { down }) => sum + down.packets, 0),
    4,
  );
  assert.equal(rows.find(({ client }) => client === "2.2.2.2")?.down.packets, 4);
});

test("it remembers a bounded number of sessions, the latest", () => {
  const memory = new CounterMemory(() => 0);
  for (let i = 0; i <= REMEMBERED_COUNT_MAX; i++) memory.note(`s${i}`, "m1", [row("1.1.1.1", 1)]);
  assert.deepEqual(memory.of("s0", "m1"), []);
  assert.equal(memory.of("s1", "m1").length, 1);
});

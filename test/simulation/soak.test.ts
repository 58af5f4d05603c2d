// Nothing grows without end: a hundred times as many associations as live at once, and everything is as small as before.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryJournal } from "@holdfast/sync/testing";
import { check } from "./checks.ts";
import { Cluster } from "./cluster.ts";
import { IDLE_LIMIT_MS, MEMORY_MS } from "./member.ts";
import { Workload } from "./workload.ts";

const LIVE_COUNT = 8;
const TURNOVERS = 100;
const STEP_MS = 100;
const TALK_EVERY = 4;

test("a hundred turnovers leave no more behind than one", async () => {
  const cluster = new Cluster({ seed: 3, memberCount: 3, journals: memoryJournal });
  const workload = new Workload(cluster, 2);
  const { time } = cluster;
  for (const member of cluster.members) await member.start();
  await time.run(1_000);
  const largest: number[] = [];
  let step = 0;
  const turnOver = async (count: number) => {
    let size = 0;
    while (workload.totals.opened - workload.totals.refused < count) {
      if (workload.alive.length < LIVE_COUNT) workload.open();
      else workload.end();
      if (step++ % TALK_EVERY === 0) workload.talk();
      await time.run(time.nowMs + STEP_MS);
      for (const { life } of cluster.running()) {
        const status = life.engine.status();
        size = Math.max(
          size,
          life.view.size + status.sessionCount + status.segmentCount + life.replica.totals.tombstones,
        );
      }
    }
    largest.push(size);
  };
  await turnOver(LIVE_COUNT * 10);
  await turnOver(LIVE_COUNT * TURNOVERS);
  const [early = 0, late = 0] = largest;
  assert.ok(late <= early * 1.5, `${early} things at most at first, ${late} later`);
  for (let i = 0; i < 20; i++) {
    workload.talk();
    await time.run(time.nowMs + (IDLE_LIMIT_MS + MEMORY_MS * 4) / 20);
  }
  await time.run(time.nowMs + 200);
  assert.deepEqual(check(cluster, workload), []);
  for (const { life } of cluster.running()) life.engine.abandon();
});

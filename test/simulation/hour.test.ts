// A partition of an hour with the product's own times: M of 45 s, an idle limit of 15 minutes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryJournal } from "@holdfast/sync/testing";
import { check } from "./checks.ts";
import { Cluster } from "./cluster.ts";
import { Workload } from "./workload.ts";

const MEMORY_MS = 45_000;
const IDLE_LIMIT_MS = 900_000;
const EARLY_COUNT = 10;
const HOUR_MS = 3_600_000;

async function partitionOfAnHour(newClients: boolean): Promise<void> {
  const cluster = new Cluster({ seed: 1, memberCount: 3, journals: memoryJournal, memoryMs: MEMORY_MS });
  const workload = new Workload(cluster, 2, IDLE_LIMIT_MS);
  const { time } = cluster;
  for (const member of cluster.members) await member.start();
  await time.run(1_000);
  for (let i = 0; i < 60 && workload.alive.length < EARLY_COUNT; i++) {
    workload.open();
    await time.run(time.nowMs + 50);
  }
  assert.equal(workload.alive.length, EARLY_COUNT);
  // Every association's packets take the way over the two that stay together, or over the one that is alone.
  for (const [i, association] of workload.alive.entries()) association.anchor = newClients ? i % 3 : 1;
  cluster.partition([[0], [1, 2]]);
  const endMs = time.nowMs + HOUR_MS;
  while (time.nowMs < endMs) {
    workload.talk();
    if (newClients && workload.alive.length < EARLY_COUNT + 6) workload.open();
    await time.run(Math.min(time.nowMs + IDLE_LIMIT_MS / 8, endMs));
  }
  // Each half has ended what it has not heard of.
  const [alone] = cluster.members;
  assert.ok(workload.alive.some(({ id }) => alone?.life?.view.get(id)?.end?.cause === "idle"));
  const alive = workload.alive.length;
  cluster.heal();
  for (let i = 0; i < 14; i++) {
    workload.talk();
    await time.run(time.nowMs + IDLE_LIMIT_MS / 8);
  }
  assert.equal(workload.alive.length, alive);
  assert.ok(!newClients || alive > EARLY_COUNT, "both halves took clients");
  assert.deepEqual(check(cluster, workload), []);
  for (const { life } of cluster.running()) life.engine.abandon();
}

test("a partition of an hour with traffic on one half only heals without a loss", () =>
  partitionOfAnHour(false));
test("a partition of an hour with new clients on both halves heals without a loss", () =>
  partitionOfAnHour(true));

// An INIT-ACK waits until a second member keeps the record: whose view is behind does not matter, and nobody waits longer
// than the limit.
import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryJournal } from "@holdfast/sync/testing";
import { answered } from "../bench/replication/workload.ts";
import { Cluster } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import type { Life } from "./member.ts";

/** Replication's default. */
const RELEASE_LIMIT_MS = 20;
const COUNT = 50;

async function started(fault?: Fault): Promise<{ cluster: Cluster; lives: Life[] }> {
  const cluster = new Cluster({ seed: 11, memberCount: 3, journals: memoryJournal, fault });
  for (const member of cluster.members) await member.start();
  await cluster.time.run(1_000);
  return { cluster, lives: cluster.running().map(({ life }) => life) };
}

/** Opens sessions at the first member. What comes back: whether each was released, and after how long. */
function open(cluster: Cluster, life: Life): { ok: boolean; afterMs: number }[] {
  const released: { ok: boolean; afterMs: number }[] = [];
  for (let serial = 0; serial < COUNT; serial++) {
    const { id } = life.view.apply(answered(0, serial), { urgent: true });
    const askedMs = cluster.time.nowMs;
    void life.replica.released(id).then((ok) => {
      released.push({ ok, afterMs: cluster.time.nowMs - askedMs });
    });
  }
  return released;
}

test("what others keep is released, though their views are behind", async () => {
  // Their views are handed nothing.
  const { cluster, lives } = await started({
    name: "views that stand still",
    toView: (message, member) => (message.kind === "deliver" && member !== 0 ? undefined : message),
  });
  const [first, ...others] = lives as [Life, Life, Life];
  const released = open(cluster, first);
  await cluster.time.run(cluster.time.nowMs + 10 * RELEASE_LIMIT_MS);
  assert.equal(released.length, COUNT);
  assert.ok(released.every(({ ok, afterMs }) => ok && afterMs < RELEASE_LIMIT_MS));
  assert.deepEqual(
    others.map(({ view }) => view.size),
    [0, 0],
  );
  const { totals, peers } = first.engine.status();
  assert.equal(totals["releaseTimeouts"], 0);
  assert.ok(
    peers.every(({ lagTicks }) => lagTicks > 0),
    "kept is not shown",
  );
  for (const { engine } of lives) engine.abandon();
});

test("when nobody answers in time it goes on, is counted, and the record arrives later", async () => {
  const { cluster, lives } = await started();
  const [first, ...others] = lives as [Life, Life, Life];
  const stall = (stalled: boolean) => {
    for (const other of [1, 2]) cluster.network.stall(0, other, stalled);
  };
  stall(true);
  const released = open(cluster, first);
  await cluster.time.run(cluster.time.nowMs + RELEASE_LIMIT_MS + 5);
  assert.equal(released.length, COUNT);
  assert.ok(released.every(({ ok, afterMs }) => !ok && afterMs <= RELEASE_LIMIT_MS + 5));
  assert.equal(first.engine.status().totals["releaseTimeouts"], COUNT);
  assert.deepEqual(
    others.map(({ view }) => view.size),
    [0, 0],
  );
  stall(false);
  await cluster.time.run(cluster.time.nowMs + 300);
  assert.deepEqual(
    others.map(({ view }) => view.size),
    [COUNT, COUNT],
  );
  for (const { engine } of lives) engine.abandon();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { THREADS, threadMicroseconds } from "./threads.ts";

const BUSY_MS = 50;

test("what the main thread works is found as the main thread's", () => {
  const before = threadMicroseconds([process.pid]);
  const startedMs = process.cpuUsage().user / 1_000;
  while (process.cpuUsage().user / 1_000 - startedMs < BUSY_MS);
  const after = threadMicroseconds([process.pid]);
  assert.deepEqual([...after.keys()], THREADS);
  const worked = (after.get("main thread") ?? 0) - (before.get("main thread") ?? 0);
  assert.ok(worked >= (BUSY_MS * 1_000) / 2, `${worked} µs`);
});

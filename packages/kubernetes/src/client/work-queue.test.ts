import assert from "node:assert/strict";
import { test } from "node:test";
import { WorkQueue } from "./work-queue.ts";

test("what waits for others and fails comes again when its own time is over, not when the others' is", {
  timeout: 10_000,
}, async (t) => {
  const again = Promise.withResolvers<void>();
  const failures: string[] = [];
  let runs = 0;
  const queue = new WorkQueue({
    work: async (key) => {
      runs += 1;
      if (runs > 1) return again.resolve();
      queue.addLater(key, 3_600_000);
      throw new Error("nobody answers");
    },
    width: 1,
    backoff: { firstMs: 1, mostMs: 10 },
    onFailure: (key) => failures.push(key),
  });
  t.after(() => queue.stop());
  queue.add("a");
  await again.promise;
  assert.deepEqual([runs, failures], [2, ["a"]]);
});

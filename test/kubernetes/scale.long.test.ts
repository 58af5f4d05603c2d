import assert from "node:assert/strict";
import { test } from "node:test";
import { restartWith } from "./scale.ts";

test("a new leader finds three hundred Services as they are: nothing moves", async (t) => {
  const world = await restartWith(300);
  t.diagnostic(
    `in step after ${world.startedAfterMs.toFixed(0)} ms, ${rssMib()} MiB with API server and member`,
  );
  await world.close();
  assert.ok(world.controller.isReady);
});

function rssMib(): number {
  return Math.round(process.memoryUsage().rss / 2 ** 20);
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { LoopDelay } from "./loop-delay.ts";

const BLOCK_MS = 60;
const turns = async (count: number) => {
  for (let n = 0; n < count; n++) await new Promise((resolve) => setTimeout(resolve, 1));
};

test("a turn that takes long is seen as long, rest is not, and both are forgotten", async () => {
  const delay = new LoopDelay();
  try {
    await turns(5);
    delay.reset();
    await turns(5);
    const startedMs = performance.now();
    while (performance.now() - startedMs < BLOCK_MS);
    await turns(5);
    assert.ok(delay.quantileMs(1) >= BLOCK_MS * 0.6, `${delay.quantileMs(1)} ms`);
    assert.ok(delay.quantileMs(0.5) <= delay.quantileMs(1));
    const { min, mean, stddev } = delay.summaryMs();
    assert.ok(min <= mean && mean < delay.quantileMs(1) && stddev > 0, `${min} ${mean} ${stddev}`);
    delay.reset();
    assert.equal(delay.quantileMs(1), 0);
    assert.equal(delay.quantileMs(0.99), 0);
    assert.deepEqual(delay.summaryMs(), { min: 0, mean: 0, stddev: 0 });
  } finally {
    delay.close();
  }
});

// Number 50: a thousand associations for five minutes, while members die.
import assert from "node:assert/strict";
import { test } from "node:test";
import { scenarios } from "./registry.ts";
import { runScenario } from "./run.ts";
import { DEFAULT_SURROUNDINGS, SOAK } from "./scenario.ts";

const scenario = scenarios.find(({ number }) => number === SOAK);
assert.ok(scenario);

test(`${SOAK}: ${scenario.name}`, async () => {
  const { passed, reason } = await runScenario(scenario, DEFAULT_SURROUNDINGS);
  assert.ok(passed, reason);
});

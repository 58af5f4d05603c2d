// Number 50: a thousand associations while members die. A minute and a half, some five deaths; the five
// minutes of the table are `npm run conformance -- --only 50`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { runScenario } from "./run.ts";
import { DEFAULT_SURROUNDINGS, SOAK } from "./scenario.ts";

process.env["HOLDFAST_SOAK_MINUTES"] ??= "1.5";
const { scenarios } = await import("./registry.ts");
const scenario = scenarios.find(({ number }) => number === SOAK);
assert.ok(scenario);

test(`${SOAK}: ${scenario.name}`, async () => {
  const { passed, reason } = await runScenario(scenario, DEFAULT_SURROUNDINGS);
  assert.ok(passed, reason);
});

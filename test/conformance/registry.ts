// All scenarios, in the order of their numbers.
import assert from "node:assert/strict";
import { SCENARIO_COUNT, type Scenario } from "./scenario.ts";
import { paths } from "./scenarios/paths.ts";

export const scenarios: readonly Scenario[] = [...paths].sort((a, b) => a.number - b.number);

assert.equal(new Set(scenarios.map(({ number }) => number)).size, scenarios.length, "a number is used twice");
assert.ok(scenarios.every(({ number }) => number >= 1 && number <= SCENARIO_COUNT));

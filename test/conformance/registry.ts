// All scenarios, in the order of their numbers.
import assert from "node:assert/strict";
import { SCENARIO_COUNT, type Scenario } from "./scenario.ts";
import { endpoints } from "./scenarios/endpoints.ts";
import { handshake } from "./scenarios/handshake.ts";
import { members } from "./scenarios/members.ts";
import { paths } from "./scenarios/paths.ts";
import { ports } from "./scenarios/ports.ts";
import { restarts } from "./scenarios/restart.ts";

export const scenarios: readonly Scenario[] = [
  ...paths,
  ...handshake,
  ...restarts,
  ...endpoints,
  ...ports,
  ...members,
].sort((a, b) => a.number - b.number);

assert.equal(new Set(scenarios.map(({ number }) => number)).size, scenarios.length, "a number is used twice");
assert.ok(scenarios.every(({ number }) => number >= 1 && number <= SCENARIO_COUNT));

// All scenarios, in the order of their numbers.
import assert from "node:assert/strict";
import type { Scenario } from "./scenario.ts";
import { endpoints } from "./scenarios/endpoints.ts";
import { handshake } from "./scenarios/handshake.ts";
import { hostile } from "./scenarios/hostile.ts";
import { loxilb } from "./scenarios/loxilb.ts";
import { members } from "./scenarios/members.ts";
import { network } from "./scenarios/network.ts";
import { paths } from "./scenarios/paths.ts";
import { ports } from "./scenarios/ports.ts";
import { restarts } from "./scenarios/restart.ts";
import { time } from "./scenarios/time.ts";

/** Fifty of the protocol's own, and what LoxiLB's multi-homing tests do. */
export const SCENARIO_COUNT = 58;

export const scenarios: readonly Scenario[] = [
  ...paths,
  ...handshake,
  ...restarts,
  ...endpoints,
  ...ports,
  ...members,
  ...hostile,
  ...network,
  ...time,
  ...loxilb,
].sort((a, b) => a.number - b.number);

assert.equal(new Set(scenarios.map(({ number }) => number)).size, scenarios.length, "a number is used twice");
assert.equal(scenarios.length, SCENARIO_COUNT);
assert.ok(
  scenarios.every(({ number }, index) => number === index + 1),
  "a number is missing",
);

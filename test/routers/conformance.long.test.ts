// Multi-homing and take-over of the conformance suite over routed networks. All of it:
// `npm run conformance -- --profile routed`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertConforms } from "../conformance/as-test.ts";
import { planOf } from "../conformance/plan.ts";
import { scenarios } from "../conformance/registry.ts";

/** Paths and their addresses, one INIT or COOKIE at two members, deaths and cuts, LoxiLB's of these kinds. */
const SELECTION = [
  ...[1, 2, 3, 4, 5, 6],
  ...[15, 16],
  ...[29, 30, 31, 32, 33, 34, 35, 36],
  ...[52, 53, 54, 55, 56, 57, 58],
];

const plan = planOf(scenarios, { full: false, only: SELECTION, profile: "routed" });
assert.equal(plan.length, SELECTION.length);

for (const [scenario, place] of plan)
  test(`routed, ${scenario.number}: ${scenario.name}`, () => assertConforms([scenario, place]));

// A selection of the conformance suite with the field's timers, addresses and routers (docs/decisions/0270).
// All of it: `npm run conformance -- --profile field`.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertConforms } from "../conformance/as-test.ts";
import { planOf } from "../conformance/plan.ts";
import { scenarios } from "../conformance/registry.ts";

/** Sources by route, all paths confirmed, a restart, a dead member, a cut path, errors of routers. */
const SELECTION = [3, 5, 17, 29, 35, 42];

const plan = planOf(scenarios, { full: false, only: SELECTION, profile: "field" });
assert.equal(plan.length, SELECTION.length);

for (const [scenario, place] of plan)
  test(`field, ${scenario.number}: ${scenario.name}`, () => assertConforms([scenario, place]));

// Every scenario once, on tcx and IPv4. Number 50 has a file of its own: it takes as long as the others
// together.
import { test } from "node:test";
import { assertConforms } from "./as-test.ts";
import { planOf } from "./plan.ts";
import { scenarios } from "./registry.ts";
import { DEFAULT_SURROUNDINGS, SOAK } from "./scenario.ts";

for (const [scenario, place] of planOf(scenarios, { full: false, path: DEFAULT_SURROUNDINGS })) {
  if (scenario.number === SOAK) continue;
  test(`${scenario.number}: ${scenario.name}`, () => assertConforms([scenario, place]));
}

// The dozen on native XDP, the userspace fast path, IPv6, and VIPs of both families.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ELSEWHERE, planOf } from "./plan.ts";
import { scenarios } from "./registry.ts";
import { runScenarioTwice } from "./run.ts";
import { pathName } from "./scenario.ts";

for (const path of ELSEWHERE)
  for (const [scenario, place] of planOf(scenarios, { full: false, path })) {
    if (scenario.everywhere !== true) continue;
    test(`${pathName(place)}, ${scenario.number}: ${scenario.name}`, async (t) => {
      const { passed, reason } = await runScenarioTwice(scenario, place, {
        onFirstFailure: (outcome) => t.diagnostic(`second try: ${outcome.reason}`),
      });
      assert.ok(passed, reason);
    });
  }

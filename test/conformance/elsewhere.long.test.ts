// The dozen on native XDP, the userspace fast path, IPv6, and VIPs of both families.
import { test } from "node:test";
import { assertConforms } from "./as-test.ts";
import { ELSEWHERE, planOf } from "./plan.ts";
import { scenarios } from "./registry.ts";
import { pathName } from "./scenario.ts";

for (const path of ELSEWHERE)
  for (const [scenario, place] of planOf(scenarios, { full: false, path })) {
    if (scenario.everywhere !== true) continue;
    test(`${pathName(place)}, ${scenario.number}: ${scenario.name}`, () => assertConforms([scenario, place]));
  }

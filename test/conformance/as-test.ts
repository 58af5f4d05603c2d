// A scenario as a test of the suite that CI runs.
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import type { Run } from "./plan.ts";
import { runAll } from "./run.ts";

/** A first try that failed is a diagnostic, which the test run lists. */
export async function assertConforms(t: TestContext, run: Run): Promise<void> {
  const outcomes = await runAll([run], {
    jobs: 1,
    onOutcome: ({ passed, secondTry, reason }) => {
      if (!passed && !secondTry) t.diagnostic(`second try: ${reason}`);
    },
  });
  for (const { passed, reason } of outcomes) assert.ok(passed, reason);
}

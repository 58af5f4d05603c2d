// A scenario as a test of the suite that CI runs, which repeats what fails when the machine is quiet.
import assert from "node:assert/strict";
import type { Run } from "./plan.ts";
import { runScenario } from "./run.ts";

export async function assertConforms([scenario, surroundings]: Run): Promise<void> {
  const { passed, reason } = await runScenario(scenario, surroundings);
  assert.ok(passed, reason);
}

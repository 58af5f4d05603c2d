// One scenario in one place: its lab, its limit, and what is shown of a failure.
import { setPatience } from "@holdfast/testkit";
import { Context } from "./context.ts";
import type { Run } from "./plan.ts";
import { type Outcome, pathName, type Scenario, SOAK, type Surroundings } from "./scenario.ts";

const LIMIT_MS = 60_000;

/** Never throws: a failure is an outcome with its reason and an excerpt of the captures. */
export async function runScenario(
  scenario: Scenario,
  surroundings: Surroundings,
  options: { readonly verbose?: boolean } = {},
): Promise<Outcome> {
  const startedAt = performance.now();
  const context = new Context(surroundings);
  const base = { number: scenario.number, name: scenario.name, path: pathName(surroundings) };
  const { patience } = context.profile;
  setPatience(patience);
  const limitMs = (scenario.limitMs ?? LIMIT_MS) * patience;
  let timer: NodeJS.Timeout | undefined;
  try {
    const done = scenario.run(context).then(() => context.judge());
    done.catch(() => {}); // after the limit nobody listens any more
    await Promise.race([
      done,
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not done after ${limitMs} ms`)), limitMs);
      }),
    ]);
    return { ...base, passed: true, durationMs: performance.now() - startedAt };
  } catch (error) {
    const { stack = String(error), cause } = error as Error;
    const reason = [
      options.verbose === true ? stack : stack.split("\n").slice(0, 12).join("\n"),
      ...(cause instanceof Error ? [`because of ${cause.message}`] : []),
      context.excerpt(),
      ...(options.verbose === true ? [context.logs()] : []),
    ].join("\n");
    return { ...base, passed: false, durationMs: performance.now() - startedAt, reason };
  } finally {
    clearTimeout(timer);
    await context.close();
  }
}

/**
 * All runs, `jobs` at a time, those of minutes last, where only their like run beside them. What fails is run
 * once more when it has the machine for itself: machines are shared, and stacks with timers of tenths of a
 * second show it when one loses its processor. `onOutcome` hears of both tries. Outcomes in the plan's order;
 * they say what took two.
 */
export async function runAll(
  runs: readonly Run[],
  options: {
    readonly jobs: number;
    readonly verbose?: boolean;
    readonly onOutcome: (outcome: Outcome) => void;
  },
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const isSoak = ([, [{ number }]]: [number, Run]) => number === SOAK;
  const waiting = [...runs.entries()].sort((a, b) => Number(isSoak(a)) - Number(isSoak(b)));
  const again: typeof waiting = [];
  const lane = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, [scenario, surroundings]] = next;
      const outcome = await runScenario(scenario, surroundings, options);
      options.onOutcome(outcome);
      outcomes[index] = outcome;
      if (!outcome.passed) again.push(next);
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, lane));
  for (const [index, [scenario, surroundings]] of again) {
    const outcome = { ...(await runScenario(scenario, surroundings, options)), secondTry: true as const };
    options.onOutcome(outcome);
    outcomes[index] = outcome;
  }
  return outcomes;
}

// Scenarios of TCP and UDP in one place. Those of one member share it, one after the other; those of three
// prepare what they need, and share one death of the owner.
import { type Outcome, pathName, type Surroundings } from "../scenario.ts";
import { PlainContext } from "./context.ts";
import { isBereaved, type PlainScenario } from "./scenario.ts";

const LIMIT_MS = 60_000;
const MEMBERS = 3;

interface Options {
  readonly verbose?: boolean;
  readonly onOutcome: (outcome: Outcome) => void;
}

/**
 * Never throws. What fails is run once more on another cluster: machines are shared. Outcomes in the
 * scenarios' order; they say what took two.
 */
export async function runPlain(
  scenarios: readonly PlainScenario[],
  surroundings: Surroundings,
  options: Options,
): Promise<Outcome[]> {
  const outcomes = new Map<PlainScenario, Outcome>();
  const note = (scenario: PlainScenario, outcome: Outcome) => {
    outcomes.set(scenario, outcome);
    options.onOutcome(outcome);
  };
  await together(scenarios, surroundings, options, note);
  const again = scenarios.filter((scenario) => outcomes.get(scenario)?.passed === false);
  await together(again, surroundings, options, (of, outcome) => note(of, { ...outcome, secondTry: true }));
  return scenarios.map((scenario) => outcomes.get(scenario) as Outcome);
}

type Note = (scenario: PlainScenario, outcome: Outcome) => void;

async function together(
  scenarios: readonly PlainScenario[],
  surroundings: Surroundings,
  options: Options,
  note: Note,
): Promise<void> {
  const alone = scenarios.filter((scenario) => !isBereaved(scenario));
  const bereaved = scenarios.filter(isBereaved);
  if (alone.length > 0)
    await onCluster(1, alone, surroundings, note, async (context, noted) => {
      for (const scenario of alone) {
        const startedAt = performance.now();
        const reason = await attempt(context, options, async () => {
          if (!isBereaved(scenario)) await scenario.run(context);
          await context.judge();
        });
        await context.tidy();
        noted(scenario, outcomeOf(scenario, surroundings, startedAt, reason));
      }
    });
  if (bereaved.length > 0)
    await onCluster(MEMBERS, bereaved, surroundings, note, async (context, noted) => {
      const stories = [];
      for (const scenario of bereaved) {
        const startedAt = performance.now();
        let aftermath: ((context: PlainContext) => Promise<void>) | undefined;
        const reason = await attempt(context, options, async () => {
          aftermath = await scenario.bereave(context);
        });
        stories.push({ scenario, aftermath, reason, spentMs: performance.now() - startedAt });
      }
      await context.killOwner();
      for (const { scenario, aftermath, reason, spentMs } of stories) {
        const startedAt = performance.now() - spentMs;
        const failed = reason ?? (await attempt(context, options, async () => aftermath?.(context)));
        noted(scenario, outcomeOf(scenario, surroundings, startedAt, failed));
      }
    });
}

/** A cluster that does not come up, or dies with its own trouble, fails all that has no outcome yet. */
async function onCluster(
  members: number,
  scenarios: readonly PlainScenario[],
  surroundings: Surroundings,
  note: Note,
  story: (context: PlainContext, note: Note) => Promise<void>,
): Promise<void> {
  const startedAt = performance.now();
  const noted = new Set<PlainScenario>();
  const context = new PlainContext(surroundings, members);
  try {
    await context.open();
    await story(context, (scenario, outcome) => {
      noted.add(scenario);
      note(scenario, outcome);
    });
  } catch (error) {
    for (const scenario of scenarios.filter((each) => !noted.has(each)))
      note(scenario, outcomeOf(scenario, surroundings, startedAt, String((error as Error).stack)));
  } finally {
    await context.close();
  }
}

/** The reason of a failure, with what was heard last; undefined: it went well. */
async function attempt(
  context: PlainContext,
  options: Options,
  action: () => Promise<void>,
): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  try {
    const done = action();
    done.catch(() => {}); // after the limit nobody listens any more
    await Promise.race([
      done,
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not done after ${LIMIT_MS} ms`)), LIMIT_MS);
      }),
    ]);
    return undefined;
  } catch (error) {
    const { stack = String(error) } = error as Error;
    const short = options.verbose === true ? stack : stack.split("\n").slice(0, 10).join("\n");
    return [short, context.excerpt(), ...(options.verbose === true ? [context.logs()] : [])].join("\n");
  } finally {
    clearTimeout(timer);
  }
}

function outcomeOf(
  { number, name }: PlainScenario,
  surroundings: Surroundings,
  startedAt: number,
  reason: string | undefined,
): Outcome {
  return {
    ...{ number, name, path: pathName(surroundings), passed: reason === undefined },
    durationMs: performance.now() - startedAt,
    ...(reason !== undefined && { reason }),
  };
}

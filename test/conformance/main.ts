// The conformance suite.
//
//   npm run conformance                   all scenarios on tcx and IPv4, a dozen on the other paths and families
//   npm run conformance -- --only 17      one scenario (or several: --only 17,18), on tcx and IPv4
//   npm run conformance -- --path xdp/ipv6
//   npm run conformance -- --full         everything everywhere
//   npm run conformance -- --json         ends with one line of JSON
//   npm run conformance -- --write        writes docs/conformance.md and runs nothing
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Context } from "./context.ts";
import { scenarios } from "./registry.ts";
import { document, matrix, outcomeLine } from "./report.ts";
import {
  DEFAULT_SURROUNDINGS,
  FAMILIES,
  FAST_PATHS,
  type Outcome,
  pathName,
  type Scenario,
  type Surroundings,
} from "./scenario.ts";

const LIMIT_MS = 60_000;
/** Where the dozen also runs. */
const ELSEWHERE: readonly Surroundings[] = [
  { fastPath: "xdp", family: "ipv4" },
  { fastPath: "userspace", family: "ipv4" },
  { fastPath: "tc", family: "ipv6" },
  { fastPath: "tc", family: "mixed" },
];

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    only: { type: "string" },
    path: { type: "string" },
    full: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    verbose: { type: "boolean", default: false },
  },
});

if (options.write) {
  const file = fileURLToPath(new URL("../../docs/conformance.md", import.meta.url));
  writeFileSync(file, document(scenarios, ELSEWHERE));
  console.log(`${scenarios.length} scenarios written to docs/conformance.md`);
  process.exit(0);
}
// Labs remove themselves when the process exits.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

const outcomes: Outcome[] = [];
for (const [scenario, surroundings] of chosen()) {
  const outcome = await runOne(scenario, surroundings);
  outcomes.push(outcome);
  console.log(outcomeLine(outcome));
  if (outcome.reason !== undefined) console.log(outcome.reason.replace(/^/gm, "          "));
}
const failed = outcomes.filter(({ passed }) => !passed);
console.log(`\n${matrix(outcomes)}\n\n${outcomes.length - failed.length} of ${outcomes.length} passed`);
if (options.json)
  console.log(
    JSON.stringify({
      scenarios: outcomes.map(({ number, name, passed, path }) => ({ number, name, passed, path })),
    }),
  );
process.exit(outcomes.length > 0 && failed.length === 0 ? 0 : 1);

function chosen(): [Scenario, Surroundings][] {
  const numbers = options.only?.split(",").map(Number);
  const wanted = scenarios.filter(({ number }) => numbers === undefined || numbers.includes(number));
  const applies = (scenario: Scenario, { family }: Surroundings) =>
    scenario.families === undefined || scenario.families.includes(family);
  const pairs = (list: readonly Scenario[], places: readonly Surroundings[]) =>
    places.flatMap((place) =>
      list.filter((s) => applies(s, place)).map((s): [Scenario, Surroundings] => [s, place]),
    );
  if (options.path !== undefined) return pairs(wanted, [surroundingsOf(options.path)]);
  if (options.full)
    return pairs(
      wanted,
      FAST_PATHS.flatMap((fastPath) => FAMILIES.map((family) => ({ fastPath, family }))),
    );
  const first = pairs(
    wanted.filter((s) => applies(s, DEFAULT_SURROUNDINGS)),
    [DEFAULT_SURROUNDINGS],
  );
  if (numbers !== undefined) return first;
  return [
    ...first,
    ...pairs(
      wanted.filter(({ everywhere }) => everywhere),
      ELSEWHERE,
    ),
  ];
}

function surroundingsOf(text: string): Surroundings {
  for (const fastPath of FAST_PATHS)
    for (const family of FAMILIES) if (pathName({ fastPath, family }) === text) return { fastPath, family };
  throw new Error(`--path is FAST_PATH/FAMILY, of ${FAST_PATHS.join(" ")} and ${FAMILIES.join(" ")}`);
}

async function runOne(scenario: Scenario, surroundings: Surroundings): Promise<Outcome> {
  const startedAt = performance.now();
  const context = new Context(surroundings);
  const base = { number: scenario.number, name: scenario.name, path: pathName(surroundings) };
  const limitMs = scenario.limitMs ?? LIMIT_MS;
  let timer: NodeJS.Timeout | undefined;
  try {
    await Promise.race([
      scenario.run(context).then(() => context.judge()),
      new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`not done after ${limitMs} ms`)), limitMs);
      }),
    ]);
    return { ...base, passed: true, durationMs: performance.now() - startedAt };
  } catch (error) {
    const { stack = String(error), cause } = error as Error;
    const why = cause instanceof Error ? `\nbecause of ${cause.message}` : "";
    const reason = options.verbose
      ? `${stack}${why}\n${context.logs()}`
      : `${stack.split("\n").slice(0, 12).join("\n")}${why}`;
    return { ...base, passed: false, durationMs: performance.now() - startedAt, reason };
  } finally {
    clearTimeout(timer);
    await context.close();
  }
}

// The part of `npm run conformance` that is about TCP and UDP.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { PlainProtocol } from "../../plain/steady.ts";
import type { Options } from "../options.ts";
import { jsonLine, matrix, outcomeLine, verdict } from "../report.ts";
import { DEFAULT_SURROUNDINGS, FAST_PATHS, type Outcome, type Surroundings } from "../scenario.ts";
import { PLAIN_DOCUMENT, plainDocument } from "./document.ts";
import { PLAIN_SCENARIOS } from "./registry.ts";
import { runPlain } from "./run.ts";
import type { PlainScenario } from "./scenario.ts";

/** Plain flows keep the family of their client: there is no mixed one. */
const PLACES: readonly Surroundings[] = FAST_PATHS.flatMap((fastPath) =>
  (["ipv4", "ipv6"] as const).map((family) => ({ fastPath, family })),
);

/** Runs and prints; whether all passed. */
export async function conformsPlain(protocol: PlainProtocol, options: Options): Promise<boolean> {
  const scenarios = PLAIN_SCENARIOS[protocol].filter(({ number }) => options.only?.includes(number) ?? true);
  const places = options.full ? PLACES : [options.path ?? DEFAULT_SURROUNDINGS];
  const startedAt = performance.now();
  const outcomes: Outcome[] = [];
  for (const place of places)
    outcomes.push(...(await runPlain(meaningAt(scenarios, place), place, { ...options, onOutcome: show })));
  console.log(`\n${matrix(outcomes)}\n\n${verdict(outcomes, performance.now() - startedAt)}`);
  if (options.json) console.log(jsonLine(outcomes));
  return outcomes.length > 0 && outcomes.every(({ passed }) => passed);
}

export function writePlainDocument(): void {
  writeFileSync(fileURLToPath(new URL(`../../../${PLAIN_DOCUMENT}`, import.meta.url)), plainDocument());
}

export const meaningAt = (scenarios: readonly PlainScenario[], { family }: Surroundings) =>
  scenarios.filter(({ families }) => families?.includes(family) ?? true);

function show(outcome: Outcome): void {
  console.log(outcomeLine(outcome));
  if (outcome.reason !== undefined) console.log(outcome.reason.replace(/^/gm, "          "));
}

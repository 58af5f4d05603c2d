// The conformance suite; see USAGE in options.ts.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Options, readOptions, USAGE } from "./options.ts";
import { conformsPlain, writePlainDocument } from "./plain/main.ts";
import { ELSEWHERE, planOf } from "./plan.ts";
import { scenarios } from "./registry.ts";
import { document, jsonLine, matrix, outcomeLine, verdict } from "./report.ts";
import { runAll } from "./run.ts";
import type { Outcome } from "./scenario.ts";

function optionsOrExit(): Options {
  try {
    return readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`conformance: ${(error as Error).message}\n\n${USAGE}`);
    process.exit(2);
  }
}

const options = optionsOrExit();
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}
if (options.write && options.protocol !== undefined) {
  writePlainDocument();
  process.exit(0);
}
if (options.write) {
  const file = fileURLToPath(new URL("../../docs/conformance.md", import.meta.url));
  writeFileSync(file, document(scenarios, ELSEWHERE));
  console.log(`${scenarios.length} scenarios written to docs/conformance.md`);
  process.exit(0);
}

const { protocol } = options;
const runs = protocol === undefined ? planOf(scenarios, options) : [];
if (protocol === undefined && runs.length === 0) {
  console.error("conformance: none of these scenarios means anything there");
  process.exit(2);
}
// Labs remove themselves when the process exits.
for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)
  process.once(signal, () => {
    console.error(`\n${signal}: not finished; the lab is removed`);
    process.exit(code);
  });

function show(outcome: Outcome): void {
  console.log(outcomeLine(outcome));
  if (outcome.reason !== undefined) console.log(outcome.reason.replace(/^/gm, "          "));
}

if (protocol !== undefined) process.exit((await conformsPlain(protocol, options)) ? 0 : 1);
const startedAt = performance.now();
const outcomes = await runAll(runs, { ...options, onOutcome: show });
console.log(`\n${matrix(outcomes)}\n\n${verdict(outcomes, performance.now() - startedAt)}`);
if (options.json) console.log(jsonLine(outcomes));
process.exitCode = outcomes.every(({ passed }) => passed) ? 0 : 1;
// What a scenario that ran into its limit left behind must not keep the process; a pipe may still need the
// last line.
setTimeout(() => process.exit(), 2_000).unref();

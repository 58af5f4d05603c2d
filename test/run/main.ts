// Runs the tests, stage by stage, and ends with one line: `N passed, N failed`.
//
//   npm test                     everyday: unit, property, lab
//   npm test -- --full           also the long stage (CI does: CI=true)
//   npm test -- --only TEXT      only the files whose path contains TEXT
//   npm test -- --measure        one file at a time, and what each loads the machine with: see load.ts
//
// `*.lab.test.ts` needs root, namespaces and BPF; `*.long.test.ts` runs in the long stage, every other
// `*.test.ts` is a unit test. Files of a stage run side by side, as many as the processors carry; short unit
// tests many to a process.
//
// What fails is run once more, alone: machines are shared, and a lab that lost its processor for a second
// shows it. Of a file that is what stands at its top and failed, a test or a suite: tests that build on one
// another stand in one. Both tries are printed, and what needed the second is flaky: it counts once, and is
// listed before the last line.
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { batchesOf, runBatch } from "./batches.ts";
import { readCommandLine } from "./command-line.ts";
import { type FileResult, failuresOf, namesToRepeat, runFile, withSecondTry } from "./file.ts";
import { inLanes, type Load, PROCESSORS } from "./lanes.ts";
import { isKept, keepLoads, loadOf, measured } from "./load.ts";
import { shareLabs } from "./shared.ts";

const USAGE = `npm test -- [options]

  --full        also the long stage (CI does: CI=true)
  --only TEXT   the files whose path contains TEXT
  --measure     one file at a time, and what each loads the machine with: see test/run/load.ts`;
const options = readCommandLine(USAGE, {
  full: { type: "boolean", default: false },
  only: { type: "string", default: "" },
  measure: { type: "boolean", default: false },
});
// What one process has stripped of its types and compiled, the next one need not: children inherit it.
process.env["NODE_COMPILE_CACHE"] ??= fileURLToPath(new URL("../../.cache/compiled", import.meta.url));
const full = options.full || process.env["CI"] === "true";

interface Stage {
  readonly name: string;
  readonly files: readonly string[];
  readonly timeoutMs: number;
}

const files = globSync(["packages/*/src/**/*.test.ts", "test/**/*.test.ts"])
  .filter((file) => file.includes(options.only))
  .sort();
const isLong = (file: string) => file.endsWith(".long.test.ts");
const isLab = (file: string) => file.endsWith(".lab.test.ts");
const stages: Stage[] = [
  { name: "everyday", files: files.filter((f) => !isLong(f)), timeoutMs: 300_000 },
  { name: "long", files: full ? files.filter(isLong) : [], timeoutMs: 1_800_000 },
];

let isComplete = false;
/** Files that have begun and not ended, their second try included. */
const unfinished = new Set<string>();
// However it ends, the last line says so: a signal, an error of its own, a file that nobody hears of again.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.on(signal, () => {
    console.log(`\nended by ${signal}`);
    process.exit(1);
  });
process.once("exit", () => {
  if (isComplete) return;
  const what = unfinished.size > 0 ? [...unfinished].join(", ") : "the run";
  failures.push(`not finished: ${what}`);
  failed++;
  conclude();
  process.exitCode = 1;
});

let passed = 0;
let failed = 0;
let skipped = 0;
const flaky: string[] = [];
const failures: string[] = [];
/** Of the everyday stage, so many files are named with what they took. */
const SLOWEST_COUNT = 12;
/** Of a short test file in a batch, s: what it is guessed to take. */
const SHORT_SECONDS = 0.3;
const loads = new Map<string, Load>();
const alone = (load: Load): Load => ({ ...load, processors: PROCESSORS });
/**
 * The machine's Docker engine, its images and its published ports are there once; and whoever needs the
 * programs of Kubernetes first builds them.
 */
const apart = (file: string) => /^test\/(docker|kubernetes)\/.*\.long\.test\.ts$/.exec(file)?.[1];

/**
 * What computes and has no clock of its own: simulations, and guests, whose limits know of slow machines.
 * Beside others, which go first: by the time that those which run alone are done, most of it is done, too.
 */
const isBackground = (file: string) => /(^test|\/testing)\/simulation\/|^test\/field\/00-kernels/.test(file);
/** What it may take longer. */
const BACKGROUND_PATIENCE = 3;

/** What failed at its first try; of a batch whose process ended nothing is known. */
interface Retry {
  readonly job: string;
  readonly batch: readonly string[];
  readonly first: FileResult | undefined;
}

/** A name, and the files that run together; of one file its path. */
function jobsOf(all: readonly string[]): ReadonlyMap<string, readonly string[]> {
  const isShort = (file: string) => !options.measure && !isLong(file) && !isLab(file) && !isKept(file);
  const jobs = new Map(all.filter((file) => !isShort(file)).map((file) => [file, [file]]));
  for (const batch of batchesOf(all.filter(isShort)))
    jobs.set(batch.length === 1 ? (batch[0] as string) : `${batch.length} files from ${batch[0]} on`, [
      ...batch,
    ]);
  return jobs;
}

for (const stage of stages) {
  if (stage.files.length === 0) continue;
  const startedAt = performance.now();
  console.log(`\n== ${stage.name}: ${stage.files.length} files`);
  if (stage.files.some((file) => isLab(file) || isLong(file))) shareLabs();
  const before = passed;
  const again: Retry[] = [];
  const took = new Map<string, number>();
  const jobs = jobsOf(stage.files);
  const jobLoad = (job: string): Load => {
    const { length = 0 } = jobs.get(job) ?? [];
    const load = length === 1 ? loadOf(job) : { seconds: SHORT_SECONDS * length, processors: 1 };
    return options.measure ? alone(load) : load;
  };
  const lanes = { processors: PROCESSORS, loadOf: jobLoad, apart, ...(!options.measure && { isBackground }) };
  await inLanes([...jobs.keys()], lanes, async (job) => {
    const batch = jobs.get(job) ?? [];
    unfinished.add(job);
    const { result, load } = await measured(() => firstTry(job, batch, stage.timeoutMs));
    took.set(job, load.seconds);
    if (options.measure) loads.set(job, load);
    // The long ones take minutes each: say how far it is.
    if (stage.name === "long") sayTook(job, load.seconds);
    if (result !== undefined && failuresOf(result).length === 0) {
      unfinished.delete(job);
      return count(job, result);
    }
    again.push({ job, batch, first: result });
    if (result === undefined) console.log(`failed   ${job}: the process ended`);
    else report("failed  ", job, result);
  });
  for (const retry of again) await secondTry(retry, stage.timeoutMs);
  if (stage.name !== "long")
    for (const [file, seconds] of [...took].sort(([, a], [, b]) => b - a).slice(0, SLOWEST_COUNT))
      sayTook(file, seconds);
  console.log(
    `== ${stage.name}: ${passed - before} passed in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
  );
}

function firstTry(job: string, batch: readonly string[], limitMs: number): Promise<FileResult | undefined> {
  if (batch.length > 1) return runBatch(batch, limitMs);
  const inBackground = !options.measure && isBackground(job);
  const timeoutMs = limitMs * (inBackground ? BACKGROUND_PATIENCE : 1);
  return runFile(job, { timeoutMs, isBackground: inBackground });
}

/** Alone: what failed of a file, and each file of a batch by itself. */
async function secondTry({ job, batch, first }: Retry, timeoutMs: number): Promise<void> {
  const names = batch.length > 1 || first === undefined ? undefined : namesToRepeat(first);
  let failureCount = 0;
  for (const file of batch) {
    const result = await runFile(file, { timeoutMs, only: names });
    const both = first === undefined ? result : withSecondTry(first, names, result);
    report("FAILED  ", file, both);
    failures.push(...failuresOf(both).map(({ name, text }) => `${file}: ${name}\n${text}`));
    count(file, both);
    failureCount += failuresOf(both).length;
  }
  unfinished.delete(job);
  if (failureCount > 0) return;
  const what = names === undefined ? job : `${job}: ${names.join("; ")}`;
  flaky.push(what);
  console.log(`flaky    ${what}: passed at the second try`);
}

function count(file: string, { outcomes, secondTries }: FileResult): void {
  for (const outcome of outcomes) {
    passed += outcome.passed;
    failed += outcome.failures.length;
    skipped += outcome.skipped.length;
    for (const reason of outcome.skipped) console.log(`skipped  ${file}: ${reason}`);
  }
  for (const reason of secondTries) console.log(`failed   ${file}, at the first try: ${reason}`);
  if (secondTries.length > 0) flaky.push(file);
}

function report(what: string, file: string, result: FileResult): void {
  for (const { name, text } of failuresOf(result)) console.log(`${what} ${file}: ${name}\n${text}`);
}

function sayTook(file: string, seconds: number): void {
  console.log(`${seconds.toFixed(0).padStart(5)} s  ${file}`);
}

/** What has failed and what was flaky, and the last line. */
function conclude(): void {
  if (failures.length > 0) console.log(`\n${failures.length} failures:\n${failures.join("\n")}`);
  if (flaky.length > 0)
    console.log(`\n${flaky.length} flaky, failed at the first try and passed at the second:`);
  for (const what of flaky) console.log(`  ${what}`);
  console.log(
    [`${passed} passed`, `${failed} failed`, ...(skipped > 0 ? [`${skipped} skipped`] : [])].join(", "),
  );
}

if (options.measure) keepLoads(loads);
isComplete = true;
conclude();
// A capability that CI has may not be skipped there.
process.exit(failed > 0 || passed === 0 || (process.env["CI"] === "true" && skipped > 0) ? 1 : 0);

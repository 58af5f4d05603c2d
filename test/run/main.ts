// Runs the tests, stage by stage, and ends with one line: `N passed, N failed`.
//
//   npm test                     everyday: unit, property, lab
//   npm test -- --full           also the long stage (CI does: CI=true)
//   npm test -- --only TEXT      only the files whose path contains TEXT
//   npm test -- --measure        one file at a time, and what each loads the machine with: see load.ts
//
// Stages by file name: `*.lab.test.ts` needs root, namespaces and BPF; those of the packages mostly wait for
// the kernel, those in test/ run whole clusters. `*.long.test.ts` runs in the long stage, every other
// `*.test.ts` is a unit test. Files of a stage run side by side, as many as the processors carry.
//
// A file that fails is run once more, alone: machines are shared, and a lab that lost its processor for a
// second shows it. Both tries are printed, and what needed the second is flaky: counted in the last line and
// listed before it.
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { type FileResult, runFile } from "./file.ts";
import { inLanes, type Load, PROCESSORS } from "./lanes.ts";
import { keepLoads, loadOf, measured } from "./load.ts";
import { shareLabs } from "./shared.ts";

const { values: options } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    only: { type: "string", default: "" },
    measure: { type: "boolean", default: false },
  },
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
const isOfPackage = (file: string) => file.startsWith("packages/");
const stages: Stage[] = [
  {
    name: "unit",
    files: files.filter((f) => !isLong(f) && !isLab(f)),
    timeoutMs: 300_000,
  },
  {
    name: "kernel",
    files: files.filter((f) => isLab(f) && isOfPackage(f)),
    timeoutMs: 300_000,
  },
  {
    name: "lab",
    files: files.filter((f) => isLab(f) && !isOfPackage(f)),
    timeoutMs: 300_000,
  },
  { name: "long", files: full ? files.filter(isLong) : [], timeoutMs: 1_800_000 },
];

let passed = 0;
let failed = 0;
let skipped = 0;
const secondTries: string[] = [];
const failures: string[] = [];
/** Of a stage that is not the long one, so many files are named with what they took. */
const SLOWEST_COUNT = 8;
const loads = new Map<string, Load>();
const alone = (file: string): Load => ({ ...loadOf(file), processors: PROCESSORS });
/**
 * The machine's Docker engine, its images and its published ports are there once; and whoever needs the
 * programs of Kubernetes first builds them.
 */
const apart = (file: string) => /^test\/(docker|kubernetes)\/.*\.long\.test\.ts$/.exec(file)?.[1];

for (const stage of stages) {
  if (stage.files.length === 0) continue;
  const startedAt = performance.now();
  console.log(`\n== ${stage.name}: ${stage.files.length} files`);
  if (stage.name !== "unit") shareLabs();
  const before = passed;
  const again: string[] = [];
  const took = new Map<string, number>();
  await inLanes(
    stage.files,
    { processors: PROCESSORS, loadOf: options.measure ? alone : loadOf, apart },
    async (file) => {
      const { result, load } = await measured(() => runFile(file, stage.timeoutMs));
      took.set(file, load.seconds);
      if (options.measure) loads.set(file, load);
      // The long ones take minutes each: say how far it is.
      if (stage.name === "long") sayTook(file, load.seconds);
      if (result.failures.length === 0) return count(file, result);
      again.push(file);
      report("failed  ", file, result);
    },
  );
  for (const file of again) {
    const result = await runFile(file, stage.timeoutMs);
    if (result.failures.length === 0) {
      secondTries.push(file);
      console.log(`flaky    ${file}: passed at the second try`);
    } else {
      report("FAILED  ", file, result);
      failures.push(...result.failures.map(({ name, text }) => `${file}: ${name}\n${text}`));
    }
    count(file, result);
  }
  if (stage.name !== "long")
    for (const [file, seconds] of [...took].sort(([, a], [, b]) => b - a).slice(0, SLOWEST_COUNT))
      sayTook(file, seconds);
  console.log(
    `== ${stage.name}: ${passed - before} passed in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
  );
}

function count(file: string, result: FileResult): void {
  passed += result.passed;
  failed += result.failures.length;
  skipped += result.skipped.length;
  for (const reason of result.skipped) console.log(`skipped  ${file}: ${reason}`);
  for (const reason of result.secondTries) console.log(`failed   ${file}, at the first try: ${reason}`);
  if (result.secondTries.length > 0) secondTries.push(file);
}

function report(what: string, file: string, result: FileResult): void {
  for (const { name, text } of result.failures) console.log(`${what} ${file}: ${name}\n${text}`);
}

function sayTook(file: string, seconds: number): void {
  console.log(`${seconds.toFixed(0).padStart(5)} s  ${file}`);
}

if (options.measure) keepLoads(loads);
if (failures.length > 0) console.log(`\n${failures.length} failures:\n${failures.join("\n")}`);
if (secondTries.length > 0)
  console.log(`\n${secondTries.length} flaky, failed at the first try and passed at the second:`);
for (const file of secondTries) console.log(`  ${file}`);
console.log(
  [`${passed} passed`, `${failed} failed`, ...(skipped > 0 ? [`${skipped} skipped`] : [])].join(", "),
);
// A capability that CI has may not be skipped there.
process.exit(failed > 0 || passed === 0 || (process.env["CI"] === "true" && skipped > 0) ? 1 : 0);

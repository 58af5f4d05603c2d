// Runs the tests, stage by stage, and ends with one line: `N passed, N failed`.
//
//   npm test                     everyday: unit, property, lab
//   npm test -- --full           also the long stage (CI does: CI=true)
//   npm test -- --only TEXT      only the files whose path contains TEXT
//
// Stages by file name: `*.lab.test.ts` needs root, namespaces and BPF; those of the packages mostly wait for
// the kernel and run side by side, those in test/ run whole clusters, one file at a time. `*.long.test.ts`
// runs in the long stage, every other `*.test.ts` is a unit test.
//
// A file that fails is run once more, alone: machines are shared, and a lab that lost its processor for a
// second shows it. Both tries are printed, and what needed the second is flaky: counted in the last line and
// listed before it.
import { globSync } from "node:fs";
import { parseArgs } from "node:util";
import { type FileResult, runFile } from "./file.ts";

const { values: options } = parseArgs({
  options: {
    full: { type: "boolean", default: false },
    only: { type: "string", default: "" },
  },
});
const full = options.full || process.env["CI"] === "true";

interface Stage {
  readonly name: string;
  readonly files: readonly string[];
  readonly concurrency: number;
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
    concurrency: 2,
    timeoutMs: 300_000,
  },
  {
    name: "kernel",
    files: files.filter((f) => isLab(f) && isOfPackage(f)),
    concurrency: 2,
    timeoutMs: 300_000,
  },
  {
    name: "lab",
    files: files.filter((f) => isLab(f) && !isOfPackage(f)),
    concurrency: 1,
    timeoutMs: 300_000,
  },
  { name: "long", files: full ? files.filter(isLong) : [], concurrency: 1, timeoutMs: 1_800_000 },
];

let passed = 0;
let failed = 0;
let skipped = 0;
const secondTries: string[] = [];
const failures: string[] = [];

for (const stage of stages) {
  if (stage.files.length === 0) continue;
  const startedAt = performance.now();
  console.log(`\n== ${stage.name}: ${stage.files.length} files`);
  const before = passed;
  const again: string[] = [];
  await pool(stage.files, stage.concurrency, async (file) => {
    const fileStartedAt = performance.now();
    const result = await runFile(file, stage.timeoutMs);
    // The long ones take minutes each: say how far it is.
    if (stage.name === "long")
      console.log(`${((performance.now() - fileStartedAt) / 1000).toFixed(0).padStart(5)} s  ${file}`);
    if (result.failures.length === 0) return count(file, result);
    again.push(file);
    report("failed  ", file, result);
  });
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

async function pool<T>(items: readonly T[], width: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}

if (failures.length > 0) console.log(`\n${failures.length} failures:\n${failures.join("\n")}`);
if (secondTries.length > 0)
  console.log(`\n${secondTries.length} flaky, failed at the first try and passed at the second:`);
for (const file of secondTries) console.log(`  ${file}`);
console.log(
  [`${passed} passed`, `${failed} failed`, ...(skipped > 0 ? [`${skipped} skipped`] : [])].join(", "),
);
// A capability that CI has may not be skipped there.
process.exit(failed > 0 || passed === 0 || (process.env["CI"] === "true" && skipped > 0) ? 1 : 0);

// Runs the tests, stage by stage, and ends with one line: `N passed, N failed`.
//
//   npm test                     everyday: unit, property, lab; under five minutes
//   npm test -- --full           also the long stage (CI does: CI=true)
//   npm test -- --only TEXT      only the files whose path contains TEXT
//
// Stages by file name: `*.lab.test.ts` needs root, namespaces and BPF and runs one file at a time;
// `*.long.test.ts` runs in the long stage; every other `*.test.ts` is a unit test.
import { globSync } from "node:fs";
import { run } from "node:test";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: { full: { type: "boolean", default: false }, only: { type: "string", default: "" } },
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
const stages: Stage[] = [
  { name: "unit", files: files.filter((f) => !isLong(f) && !isLab(f)), concurrency: 2, timeoutMs: 300_000 },
  { name: "lab", files: files.filter(isLab), concurrency: 1, timeoutMs: 600_000 },
  { name: "long", files: full ? files.filter(isLong) : [], concurrency: 1, timeoutMs: 2_400_000 },
];

let passed = 0;
let failed = 0;
let skipped = 0;
const failures: string[] = [];

for (const stage of stages) {
  if (stage.files.length === 0) continue;
  const startedAt = performance.now();
  console.log(`\n== ${stage.name}: ${stage.files.length} files`);
  const before = passed;
  const stream = run({ files: [...stage.files], concurrency: stage.concurrency, timeout: stage.timeoutMs });
  for await (const event of stream) {
    if (event.type === "test:pass" && event.data.details.type !== "suite") {
      if (event.data.skip !== undefined || event.data.todo !== undefined) {
        skipped++;
        console.log(`skipped  ${event.data.name}: ${event.data.skip || event.data.todo}`);
      } else if (event.data.file !== undefined && !event.data.name.endsWith(".test.ts")) passed++;
    } else if (event.type === "test:fail" && event.data.details.type !== "suite") {
      failed++;
      const error = event.data.details.error;
      const cause =
        error.cause instanceof Error
          ? (error.cause.stack ?? String(error.cause))
          : String(error.cause ?? error);
      failures.push(`${event.data.file ?? ""}: ${event.data.name}\n${indent(cause)}`);
      console.log(`FAILED   ${event.data.file ?? ""}: ${event.data.name}\n${indent(cause)}`);
    } else if (event.type === "test:stderr" && process.env["TEST_STDERR"] !== undefined) {
      process.stderr.write(event.data.message);
    }
  }
  console.log(
    `== ${stage.name}: ${passed - before} passed in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
  );
}

function indent(text: string): string {
  return text.replace(/^/gm, "    ");
}

if (failures.length > 0) console.log(`\n${failures.length} failures:\n${failures.join("\n")}`);
console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
// A capability that CI has may not be skipped there.
process.exit(failed > 0 || passed === 0 || (process.env["CI"] === "true" && skipped > 0) ? 1 : 0);

// The one shape in which a benchmark says what it measured.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";

export interface Row {
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  /** With `ratio`: ours to theirs in the same run, greater than 1 is better for us. No ratio to nothing. */
  readonly versus?: string;
  readonly ratio?: number;
  /** The other build's value, with `--baseline`. */
  readonly theirs?: number;
  /** Of what the machine can do in the same run, 0 … 1. */
  readonly share?: number;
  /** Where the unit does not say it (../baseline/compare.ts). */
  readonly better?: "more" | "less";
}

export function print(bench: string, rows: readonly Row[], json: boolean): void {
  const widest = Math.max(...rows.map((row) => row.case.length));
  for (const row of rows) {
    const versus = row.ratio === undefined ? "" : `  ${row.ratio.toFixed(2)} × ${row.versus}`;
    const share = row.share === undefined ? "" : `  ${(100 * row.share).toFixed(0)} % of the limit`;
    console.log(
      `${row.case.padEnd(widest)}  ${row.value.toLocaleString("en").padStart(12)} ${row.unit}${versus}${share}`,
    );
  }
  if (json) printJson(bench, rows);
  keep(bench, rows);
}

/** The last line of a benchmark's output with `--json`. */
export function printJson(bench: string, rows: readonly Row[]): void {
  console.log(JSON.stringify({ bench, rows, environment: environment() }));
}

function environment() {
  return {
    cores: cpus().length,
    processor: cpus()[0]?.model ?? "unknown",
    kernel: release(),
    node: process.version,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
  };
}

/** One run as docs/performance/ keeps it; docs/performance.md is made of these. */
export interface Kept {
  readonly command: string;
  /** Date of the run, and the commit that was measured. */
  readonly date: string;
  readonly commit: string;
  readonly bench: string;
  readonly rows: readonly Row[];
  readonly environment: ReturnType<typeof environment>;
}

let keeping: { readonly file: URL; readonly command: string; readonly commit: string } | undefined;

/** What `print` gets next is kept in `file` as well. */
export function keepIn(file: URL, command: string, commit: string): void {
  keeping = { file, command, commit };
}

function keep(bench: string, rows: readonly Row[]): void {
  if (keeping === undefined) return;
  const { file, command, commit } = keeping;
  const date = new Date().toISOString().slice(0, 10);
  const kept: Kept = { command, date, commit, bench, rows, environment: environment() };
  mkdirSync(new URL("./", file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`);
}

/**
 * Processor seconds that the whole machine has spent on anything, since its start; idle and stolen time
 * apart.
 */
export function machineSeconds(): number {
  const [, user = 0, nice = 0, system = 0, , , interrupt = 0, softInterrupt = 0] =
    readFileSync("/proc/stat", "utf8").split("\n", 1)[0]?.split(/\s+/).map(Number) ?? [];
  const TICKS_PER_SECOND = 100;
  return (user + nice + system + interrupt + softInterrupt) / TICKS_PER_SECOND;
}

export function rounded(value: number, digits = 1): number {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

// What each test file loads the machine with: what it took when it was measured, one file at a time
// (`npm test -- --full --measure`), as load.json keeps it.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Load } from "./lanes.ts";

const KEPT = fileURLToPath(new URL("load.json", import.meta.url));
/**
 * Of a file that was never measured: the processor is its own. One of the long stage may be the longest, and
 * begins early; any other was too short to be kept. A lab waits for timers and for stacks: those that were
 * measured kept 0.3 to 0.7 of a processor busy.
 */
const UNKNOWN: Load = { seconds: 1, processors: 1 };
const UNKNOWN_LAB: Load = { seconds: 5, processors: 0.65 };
const UNKNOWN_LONG: Load = { seconds: 300, processors: 1 };
/** Below that a file starts and ends, and its load says nothing of it. */
const SECONDS_MIN = 3;
/**
 * A cluster starts with all processors there are, whatever it does later: never more than so many side by
 * side on each.
 */
const PROCESSORS_MIN = 0.5;
/** USER_HZ, which is the same on every machine. */
const TICKS_PER_SECOND = 100;

type Kept = Readonly<Record<string, readonly [seconds: number, processors: number]>>;

const kept = JSON.parse(readFileSync(KEPT, "utf8")) as Kept;

export function loadOf(file: string): Load {
  const unknown = unknownOf(file);
  const [seconds, processors] = kept[file] ?? [unknown.seconds, unknown.processors];
  return { seconds, processors: Math.max(PROCESSORS_MIN, processors) };
}

function unknownOf(file: string): Load {
  if (file.endsWith(".long.test.ts")) return UNKNOWN_LONG;
  return file.endsWith(".lab.test.ts") ? UNKNOWN_LAB : UNKNOWN;
}

/** It was measured, and took long enough to be kept. */
export const isKept = (file: string) => kept[file] !== undefined;

/** What `work` took, and the processors that processes which ended meanwhile had kept busy. */
export async function measured<T>(work: () => Promise<T>): Promise<{ result: T; load: Load }> {
  const [startedAt, before] = [performance.now(), processorSeconds()];
  const result = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  return { result, load: { seconds, processors: (processorSeconds() - before) / seconds } };
}

/** Of children that ended and were waited for, and theirs: proc(5), cutime and cstime of stat. */
function processorSeconds(): number {
  const stat = readFileSync("/proc/self/stat", "utf8");
  // The name, in brackets, may hold blanks.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/** Writes down what was measured; what was not keeps what it had. */
export function keepLoads(loads: ReadonlyMap<string, Load>): void {
  const all = new Map(Object.entries(kept));
  for (const [file, { seconds, processors }] of loads) {
    if (seconds < SECONDS_MIN) all.delete(file);
    else all.set(file, [Math.round(seconds), Number(processors.toFixed(1))]);
  }
  const lines = [...all]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map((entry) => {
      const [file, [seconds, processors]] = entry;
      return `  ${JSON.stringify(file)}: [${seconds}, ${processors}]`;
    });
  writeFileSync(KEPT, `{\n${lines.join(",\n")}\n}\n`);
}

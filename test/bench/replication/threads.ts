// Processor time of a process by its threads, from outside: any build's members are measured alike.
import { readdirSync, readFileSync } from "node:fs";

const NS_PER_US = 1_000;

/** What the kernel calls a thread, and what it is; the rest are "other threads". */
const NAMES: Readonly<Record<string, string>> = {
  node: "main thread",
  MainThread: "main thread",
  "holdfast-sync": "engine's thread",
  V8Worker: "V8's compiler and collector",
};
const REST = "other threads";
export const THREADS: readonly string[] = [...new Set(Object.values(NAMES)), REST];

/** Microseconds that all these processes' threads have run, by what they are. */
export function threadMicroseconds(processes: readonly number[]): ReadonlyMap<string, number> {
  const times = new Map(THREADS.map((name) => [name, 0]));
  for (const pid of processes) {
    const directory = `/proc/${pid}/task`;
    for (const task of readdirSync(directory)) {
      const { comm, microseconds } = timeOf(`${directory}/${task}`);
      const name = NAMES[comm] ?? REST;
      times.set(name, (times.get(name) ?? 0) + microseconds);
    }
  }
  return times;
}

/** A thread that has just ended has run no more. */
function timeOf(task: string): { readonly comm: string; readonly microseconds: number } {
  try {
    const [ran = "0"] = readFileSync(`${task}/schedstat`, "utf8").split(" ");
    return {
      comm: readFileSync(`${task}/comm`, "utf8").trim(),
      microseconds: Number(ran) / NS_PER_US,
    };
  } catch {
    return { comm: "", microseconds: 0 };
  }
}

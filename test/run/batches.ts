// Short test files, many to a process: starting one and loading what all of them load takes longer than most
// of their tests.
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { FileResult } from "./file.ts";

const PROGRAM = fileURLToPath(new URL("batch.ts", import.meta.url));
/** Fewer processes save little more, and one that fails runs all its files again. */
const FILE_COUNT_MAX = 24;

/** In the order given, in groups of about one size. */
export function batchesOf(files: readonly string[]): readonly (readonly string[])[] {
  const count = Math.ceil(files.length / FILE_COUNT_MAX);
  return Array.from({ length: count }, (_, index) =>
    files.slice(Math.floor((index * files.length) / count), Math.floor(((index + 1) * files.length) / count)),
  );
}

/** undefined: the process ended without a word, or took too long. */
export function runBatch(files: readonly string[], timeoutMs: number): Promise<FileResult | undefined> {
  const child = fork(PROGRAM, files, {
    execArgv: ["--disable-warning=ExperimentalWarning"],
    stdio: ["ignore", "ignore", process.env["TEST_STDERR"] === undefined ? "ignore" : "inherit", "ipc"],
    serialization: "advanced",
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let result: FileResult | undefined;
  child.on("message", (message) => {
    result = message as FileResult;
  });
  return new Promise((resolve) => child.once("exit", (code) => resolve(code === null ? undefined : result)));
}

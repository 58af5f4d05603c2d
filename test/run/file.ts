// One test file in a process of its own, by Node's test runner.
import { run } from "node:test";

export interface FileResult {
  /** Tests that passed, suites and the file itself not counted. */
  readonly passed: number;
  readonly skipped: readonly string[];
  readonly failures: readonly { readonly name: string; readonly text: string }[];
  /** What tests say of a first try of theirs that failed. */
  readonly secondTries: readonly string[];
}

/** A test that tries something twice by itself says so with a diagnostic that begins like this. */
const SECOND_TRY = "second try: ";

export async function runFile(file: string, timeoutMs: number): Promise<FileResult> {
  let passed = 0;
  const skipped: string[] = [];
  const failures: { name: string; text: string }[] = [];
  const secondTries: string[] = [];
  const isFile = (name: string) => name.endsWith(".test.ts");
  for await (const event of run({ files: [file], timeout: timeoutMs })) {
    if (event.type === "test:pass" && event.data.details.type !== "suite" && !isFile(event.data.name)) {
      if (event.data.skip !== undefined || event.data.todo !== undefined)
        skipped.push(`${event.data.name}: ${event.data.skip || event.data.todo}`);
      else passed++;
    } else if (event.type === "test:fail" && event.data.details.type !== "suite") {
      const { error } = event.data.details;
      const cause: unknown = error.cause ?? error;
      failures.push({
        name: event.data.name,
        text: (cause instanceof Error ? (cause.stack ?? String(cause)) : String(cause)).replace(
          /^/gm,
          "    ",
        ),
      });
    } else if (event.type === "test:diagnostic" && event.data.message.startsWith(SECOND_TRY)) {
      secondTries.push(event.data.message.slice(SECOND_TRY.length));
    } else if (event.type === "test:stderr" && process.env["TEST_STDERR"] !== undefined) {
      process.stderr.write(event.data.message);
    }
  }
  return { passed, skipped, failures, secondTries };
}

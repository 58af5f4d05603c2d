// One test file in a process of its own, by Node's test runner.
import { run } from "node:test";

export interface Failure {
  readonly name: string;
  readonly text: string;
}

/** What stands at the top of a file, a test or a suite, with all that is in it. */
export interface Outcome {
  /** The file's own when it failed as a whole: it did not load, or took too long. */
  readonly name: string;
  /** Tests that passed, suites and the file itself not counted. */
  readonly passed: number;
  readonly skipped: readonly string[];
  readonly failures: readonly Failure[];
}

export interface FileResult {
  readonly outcomes: readonly Outcome[];
  /** What tests say of a first try of theirs that failed. */
  readonly secondTries: readonly string[];
}

/** A test that tries something twice by itself says so with a diagnostic that begins like this. */
const SECOND_TRY = "second try: ";

const isFile = (name: string) => name.endsWith(".test.ts");
const isFailed = ({ failures }: Outcome) => failures.length > 0;

export interface RunOptions {
  readonly timeoutMs: number;
  /** Of what stands at the top of the file, those with these names. */
  readonly only?: readonly string[] | undefined;
  /** It takes what processor others leave. */
  readonly isBackground?: boolean;
}

const BACKGROUND = new URL("background.ts", import.meta.url).href;

export function runFile(file: string, options: RunOptions): Promise<FileResult> {
  const { timeoutMs, only, isBackground = false } = options;
  const patterns = only?.map((name) => new RegExp(`^${escaped(name)}$`));
  const events = run({
    ...{ files: [file], timeout: timeoutMs },
    ...(isBackground && { execArgv: ["--import", BACKGROUND] }),
    ...(patterns && { testNamePatterns: patterns }),
  });
  return collected(events, file);
}

/** `file`: what has failed when nobody says what. */
export async function collected(events: ReturnType<typeof run>, file: string): Promise<FileResult> {
  const outcomes: Outcome[] = [];
  const secondTries: string[] = [];
  let [passed, skipped, failures] = [0, [] as string[], [] as Failure[]];
  const close = (name: string) => {
    outcomes.push({ name, passed, skipped, failures });
    [passed, skipped, failures] = [0, [], []];
  };
  for await (const event of events) {
    if (event.type === "test:pass") {
      const { name, details, skip, todo } = event.data;
      if (details.type === "suite" || isFile(name)) {
        // Of what is in it there is word already.
      } else if (skip !== undefined || todo !== undefined) skipped.push(`${name}: ${skip || todo}`);
      else passed++;
    } else if (event.type === "test:fail") {
      const { name, details } = event.data;
      // A suite whose tests fail is none itself; one whose hooks fail is.
      const isTold = details.type === "suite" && details.error.failureType === "subtestsFailed";
      if (!isTold) failures.push({ name, text: textOf(details.error) });
    } else if (event.type === "test:diagnostic" && event.data.message.startsWith(SECOND_TRY)) {
      secondTries.push(event.data.message.slice(SECOND_TRY.length));
    } else if (event.type === "test:stderr" && process.env["TEST_STDERR"] !== undefined) {
      process.stderr.write(event.data.message);
    } else if (event.type === "test:summary" && !event.data.success && !outcomes.some(isFailed)) {
      failures.push({ name: file, text: "    it failed behind its tests: in a hook, or by its exit code" });
      close(file);
    }
    // What is in a test or a suite is told before it.
    if ((event.type === "test:pass" || event.type === "test:fail") && event.data.nesting === 0)
      close(event.data.name);
  }
  return { outcomes, secondTries };
}

export const failuresOf = ({ outcomes }: FileResult) => outcomes.flatMap(({ failures }) => failures);

/**
 * Names of what has to run again. undefined: all of it, since the file failed as a whole, or since a name
 * says not which of two.
 */
export function namesToRepeat({ outcomes }: FileResult): readonly string[] | undefined {
  const names = outcomes.filter(isFailed).map(({ name }) => name);
  const isOne = (name: string) => outcomes.filter((other) => other.name === name).length === 1;
  return names.every((name) => !isFile(name) && isOne(name)) ? names : undefined;
}

/** Both tries as one: each test counts once, by its last try. */
export function withSecondTry(
  first: FileResult,
  names: readonly string[] | undefined,
  second: FileResult,
): FileResult {
  if (names === undefined) return second;
  // One that is not there any more has not passed.
  const missing = names
    .filter((name) => !second.outcomes.some((outcome) => outcome.name === name))
    .flatMap((name) => first.outcomes.filter((outcome) => outcome.name === name));
  return {
    outcomes: [...first.outcomes.filter((each) => !isFailed(each)), ...second.outcomes, ...missing],
    secondTries: [...first.secondTries, ...second.secondTries],
  };
}

function textOf(error: Error): string {
  const cause: unknown = error.cause ?? error;
  return (cause instanceof Error ? (cause.stack ?? String(cause)) : String(cause)).replace(/^/gm, "    ");
}

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}

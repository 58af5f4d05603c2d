// `npm run bench -- NAME [--json] [--baseline REV] [--keep FILE] [options]`: runs ./NAME.ts, whose `run`
// measures and prints.
//
//   --help          what NAME measures, and its options
//   --keep FILE     the rows also go to docs/performance/FILE.json; `node test/documents/main.ts` makes
//                   docs/performance.md of what lies there
//   --baseline REV  any git revision: it is checked out and built in a temporary folder, and the two builds
//   take turns
//                   within the one run; each row has `versus` and `ratio`, greater than 1 is better for this
//                   build
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type OtherBuild, OtherBuildError, otherBuild } from "./baseline/other-build.ts";
import { BenchOptionError, helpIn, namesIn, refuseUnknown } from "./options/options.ts";
import { keepIn } from "./replication/report.ts";

const { name, json, revision, kept, args } = parsed(process.argv.slice(2));
const here = new URL("./", import.meta.url);
const names = readdirSync(here)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts" && !file.endsWith(".test.ts"))
  .map((file) => file.slice(0, -3))
  .sort();

if (name === undefined || !/^[a-z-]+$/.test(name) || !existsSync(new URL(`${name}.ts`, here)))
  refuse(`usage: npm run bench -- ${names.join("|")} [--help] [--json] [--baseline REV]`);
if (kept !== undefined && !/^[a-z0-9-]+$/.test(kept)) refuse("--keep takes a name of a-z, 0-9 and -");
if (revision === "") refuse("--baseline takes a git revision");

const help = helpIn(readFileSync(new URL(`${name}.ts`, here), "utf8"));
if (args.includes("--help")) {
  console.log(help);
  process.exit(0);
}

interface Bench {
  run(options: {
    readonly json: boolean;
    readonly args: string[];
    readonly baseline?: OtherBuild;
  }): Promise<void>;
  /** It can measure another build beside this one. */
  readonly takesBaseline?: boolean;
}

orRefuse(BenchOptionError, () => refuseUnknown(args, namesIn(help)));
const bench = (await import(new URL(`${name}.ts`, here).href)) as Bench;
if (revision !== undefined && bench.takesBaseline !== true) refuse(`bench ${name} takes no --baseline`);
if (kept !== undefined) {
  const command = ["npm run bench --", name, ...withoutKeep(process.argv.slice(3))].join(" ");
  keepIn(new URL(`../../docs/performance/${kept}.json`, import.meta.url), command, commitHere());
}
const baseline = revision === undefined ? undefined : built(revision);
try {
  await bench.run({ json, args, ...(baseline && { baseline }) });
} catch (error) {
  if (!(error instanceof BenchOptionError)) throw error;
  console.error(error.message);
  process.exitCode = 2;
} finally {
  baseline?.close();
}
process.exit();

function parsed(words: readonly string[]) {
  const [name, ...rest] = words;
  const args: string[] = [];
  let json = false;
  let revision: string | undefined;
  let kept: string | undefined;
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] as string;
    if (word === "--json") json = true;
    else if (word === "--baseline") revision = rest[++at] ?? "";
    else if (word.startsWith("--baseline=")) revision = word.slice("--baseline=".length);
    else if (word === "--keep") kept = rest[++at] ?? "";
    else args.push(word);
  }
  return { name, json, revision, kept, args };
}

/** What is measured: the commit, and whether there is more in the files than in it, kept runs apart. */
function commitHere(): string {
  const git = (...words: string[]) =>
    execFileSync("git", words, { cwd: new URL("../../", import.meta.url), encoding: "utf8" }).trim();
  const changes = git("status", "--porcelain", "--untracked-files=no", "--", ":!docs/performance*");
  return git("rev-parse", "--short=7", "HEAD") + (changes === "" ? "" : "-dirty");
}

function withoutKeep(words: readonly string[]): readonly string[] {
  const at = words.indexOf("--keep");
  return at < 0 ? words : words.toSpliced(at, 2);
}

function built(revision: string): OtherBuild {
  console.error(`building ${revision}`);
  return orRefuse(OtherBuildError, () => otherBuild(revision));
}

/** What `action` refuses is told, without a stack. */
function orRefuse<T>(kind: typeof BenchOptionError | typeof OtherBuildError, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof kind) refuse(error.message);
    throw error;
  }
}

function refuse(text: string): never {
  console.error(text);
  process.exit(2);
}

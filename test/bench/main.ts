// `npm run bench -- NAME [--json] [--baseline REV] [options]`: runs ./NAME.ts, whose `run` measures and
// prints.
//
//   --baseline REV  any git revision: it is checked out and built in a temporary folder, and the two builds
//   take turns
//                   within the one run; each row has `versus` and `ratio`, greater than 1 is better for this
//                   build
import { existsSync, readdirSync } from "node:fs";
import { type OtherBuild, OtherBuildError, otherBuild } from "./baseline/other-build.ts";

const { name, json, revision, args } = parsed(process.argv.slice(2));
const here = new URL("./", import.meta.url);
const names = readdirSync(here)
  .filter((file) => file.endsWith(".ts") && file !== "main.ts" && !file.endsWith(".test.ts"))
  .map((file) => file.slice(0, -3))
  .sort();

if (name === undefined || !/^[a-z-]+$/.test(name) || !existsSync(new URL(`${name}.ts`, here)))
  refuse(`usage: npm run bench -- ${names.join("|")} [--json] [--baseline REV]`);
if (revision === "") refuse("--baseline takes a git revision");

interface Bench {
  run(options: {
    readonly json: boolean;
    readonly args: string[];
    readonly baseline?: OtherBuild;
  }): Promise<void>;
  /** It can measure another build beside this one. */
  readonly takesBaseline?: boolean;
}

const bench = (await import(new URL(`${name}.ts`, here).href)) as Bench;
if (revision !== undefined && bench.takesBaseline !== true) refuse(`bench ${name} takes no --baseline`);
const baseline = revision === undefined ? undefined : built(revision);
try {
  await bench.run({ json, args, ...(baseline && { baseline }) });
} finally {
  baseline?.close();
}
process.exit(0);

function parsed(words: readonly string[]) {
  const [name, ...rest] = words;
  const args: string[] = [];
  let json = false;
  let revision: string | undefined;
  for (let at = 0; at < rest.length; at++) {
    const word = rest[at] as string;
    if (word === "--json") json = true;
    else if (word === "--baseline") revision = rest[++at] ?? "";
    else if (word.startsWith("--baseline=")) revision = word.slice("--baseline=".length);
    else args.push(word);
  }
  return { name, json, revision, args };
}

function built(revision: string): OtherBuild {
  try {
    console.error(`building ${revision}`);
    return otherBuild(revision);
  } catch (error) {
    if (error instanceof OtherBuildError) refuse(error.message);
    throw error;
  }
}

function refuse(text: string): never {
  console.error(text);
  process.exit(2);
}

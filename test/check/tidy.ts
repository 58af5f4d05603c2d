// Files, functions and comment lines that are too long, and modules that import each other in a circle. What
// was so when the rules came stands in tidy.json; that list only shrinks: an entry that is not needed any
// more is wrong, and so is a number that was outgrown.
import { execFile } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { promisify } from "node:util";

export const FILE_LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;
export const COMMENT_COLUMNS_MAX = 110;

/** How much there is, by where. */
export type Counts = Readonly<Record<string, number>>;

export interface Exceptions {
  /** Lines of files. */
  readonly files: Counts;
  /** Lines of functions, "FILE NAME". */
  readonly functions: Counts;
  /** Comment lines that are too long, of a package or a folder of test/ altogether. */
  readonly comments: Counts;
  /** Modules in one circle, by the first of them. */
  readonly cycles: Counts;
}

const SOURCES = ["packages/*/src/**/*.{ts,tsx,c,h}", "test/**/*.ts", "deploy/**/*.ts"];
const IS_TEST = /\.test\.ts$/;
/** Generated, or one long list. */
const LISTS = ["packages/forwarder/src/fast-path/bpf/abi.ts", "packages/model/src/errors.ts"];

/** All that is too long or runs in a circle, exceptions or not. `root`: of the repository. */
export async function measure(root: string): Promise<Exceptions> {
  const texts = new Map(
    globSync(SOURCES, { cwd: root })
      .filter((file) => !LISTS.includes(file))
      .sort()
      .map((file) => [file, readFileSync(join(root, file), "utf8")] as const),
  );
  return {
    files: over(texts, (text) => text.split("\n").length - 1, FILE_LINES_MAX),
    functions: await longFunctions(root, texts),
    comments: commentsByFolder(texts),
    cycles: Object.fromEntries(circles(graphOf(texts)).map((circle) => [circle[0] as string, circle.length])),
  };
}

/** One line a finding; none when all that is wrong is known and nothing is known that is not. */
export function compare(found: Exceptions, known: Exceptions): string[] {
  const limits = { files: FILE_LINES_MAX, functions: FUNCTION_LINES_MAX, comments: 0, cycles: 1 };
  const units = {
    files: `lines, ${FILE_LINES_MAX} are the limit`,
    functions: `lines, ${FUNCTION_LINES_MAX} are the limit of a function`,
    comments: `comment lines of more than ${COMMENT_COLUMNS_MAX} columns`,
    cycles: "modules that import each other in a circle",
  };
  const findings: string[] = [];
  for (const kind of ["files", "functions", "comments", "cycles"] as const) {
    for (const [where, count] of Object.entries(found[kind])) {
      const excepted = known[kind][where];
      if (excepted === undefined) findings.push(`${where}: ${count} ${units[kind]}`);
      else if (count > excepted)
        findings.push(`${where}: ${count} ${units[kind]}; it was let off with ${excepted}`);
    }
    for (const where of Object.keys(known[kind]))
      if ((found[kind][where] ?? 0) <= limits[kind])
        findings.push(`${where}: well done, strike it off '${kind}' of test/check/tidy.json`);
  }
  return findings;
}

/**
 * Comment lines beyond the limit: numbers of lines. Code may be longer where the formatter cannot break it.
 */
export function longComments(text: string): number[] {
  return text
    .split("\n")
    .flatMap((line, index) => (isComment(line) && columnsOf(line) > COMMENT_COLUMNS_MAX ? [index + 1] : []));
}

function commentsByFolder(texts: ReadonlyMap<string, string>): Counts {
  const counts: Record<string, number> = {};
  for (const [file, text] of texts) {
    const folder = file.split("/").slice(0, 2).join("/");
    const count = longComments(text).length;
    if (count > 0) counts[folder] = (counts[folder] ?? 0) + count;
  }
  return counts;
}

function isComment(line: string): boolean {
  return /^\s*(?:\/\/|\/\*|\*(?:\s|\/|$))/.test(line);
}

function columnsOf(line: string): number {
  return line.replaceAll("\t", "        ").length;
}

function over(texts: ReadonlyMap<string, string>, count: (text: string) => number, limit: number): Counts {
  const counts = [...texts].map(([file, text]) => [file, count(text)] as const);
  return Object.fromEntries(counts.filter(([, number]) => number > limit));
}

interface Diagnostic {
  readonly location: {
    readonly path: string;
    readonly start: { readonly line: number; readonly column: number };
    readonly end: { readonly line: number };
  };
}

/** By Biome's reading. A test's function is a list of tests: it may be long. */
async function longFunctions(root: string, texts: ReadonlyMap<string, string>): Promise<Counts> {
  const { stdout } = await promisify(execFile)(
    join(root, "node_modules/.bin/biome"),
    [
      ...[
        "lint",
        "--only=complexity/noExcessiveLinesPerFunction",
        "--reporter=json",
        "--max-diagnostics=none",
      ],
      ...["packages", "test", "deploy"],
    ],
    { cwd: root, maxBuffer: 64 * 1024 * 1024 },
  );
  const { diagnostics } = JSON.parse(stdout) as { readonly diagnostics: readonly Diagnostic[] };
  const counts: Record<string, number> = {};
  for (const { location } of diagnostics) {
    const { path, start, end } = location;
    const lines = end.line - start.line + 1;
    const text = texts.get(path);
    if (lines <= FUNCTION_LINES_MAX || text === undefined || IS_TEST.test(path)) continue;
    const where = `${path} ${nameAt(text, start)}`;
    counts[where] = Math.max(lines, counts[where] ?? 0);
  }
  return counts;
}

/** The name of the function that begins there, or what its line begins with. */
export function nameAt(text: string, at: { readonly line: number; readonly column: number }): string {
  const line = text.split("\n")[at.line - 1] ?? "";
  const from = line.slice(at.column - 1);
  const named =
    /^(?:export\s+)?(?:default\s+)?(?:async\s+)?function\*?\s*(\w+)/.exec(from) ??
    /^(?:public |private |protected |static |async |get |set |\*)*(#?\w+)\s*[(<]/.exec(from) ??
    /(#?\w+)\s*(?::[^=]*)?[=:]\s*(?:async\s*)?$/.exec(line.slice(0, at.column - 1));
  return named?.[1] ?? line.trim().slice(0, 40);
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(?<what>type\s[^"';]*?|[^"';]*?)\s*(?:from\s*)?["'](?<from>\.{1,2}\/[^"']+)["']/g;

/** Who imports whom when the modules are loaded: imports of types alone are not there any more. */
export function graphOf(texts: ReadonlyMap<string, string>): ReadonlyMap<string, readonly string[]> {
  return new Map(
    [...texts].map(([file, text]) => {
      const plain = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
      const imported = [...plain.matchAll(IMPORT)]
        .filter(({ groups }) => !isTypesOnly(groups?.["what"] ?? ""))
        .map(({ groups }) => resolve("/", dirname(file), groups?.["from"] ?? "").slice(1))
        .filter((other) => texts.has(other));
      return [file, [...new Set(imported)]];
    }),
  );
}

function isTypesOnly(what: string): boolean {
  if (/^type\s/.test(what)) return true;
  const list = /^\{([\s\S]*)\}$/
    .exec(what.trim())?.[1]
    ?.split(",")
    .filter((name) => name.trim() !== "");
  return list?.every((name) => /^\s*type\s/.test(name)) === true;
}

/** Strongly connected modules (Tarjan), more than one each, sorted. */
export function circles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const indices = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): number => {
    const index = indices.size;
    indices.set(node, index);
    lowest.set(node, index);
    stack.push(node);
    for (const next of graph.get(node) ?? []) {
      const low = indices.has(next)
        ? stack.includes(next)
          ? (indices.get(next) as number)
          : Infinity
        : visit(next);
      lowest.set(node, Math.min(lowest.get(node) as number, low));
    }
    if (lowest.get(node) === index) {
      const circle = stack.splice(stack.indexOf(node));
      if (circle.length > 1) found.push(circle.sort());
    }
    return lowest.get(node) as number;
  };
  for (const node of graph.keys()) if (!indices.has(node)) visit(node);
  return found.sort((a, b) => ((a[0] as string) < (b[0] as string) ? -1 : 1));
}

/** The check, with the list that stands beside it. */
export async function checkTidy(root: string): Promise<string[]> {
  const known = JSON.parse(readFileSync(join(root, "test/check/tidy.json"), "utf8")) as Exceptions;
  return compare(await measure(root), known);
}

// docs/performance.md and its graphs, from the runs that `npm run bench -- NAME --keep FILE` left in
// docs/performance/.
import { readdirSync, readFileSync } from "node:fs";
import type { Kept, Row } from "../bench/replication/report.ts";
import { type Graph, graphText, type Series } from "./graph.ts";
import { GOALS, type Goal } from "./performance-goals.ts";
import { GENERATED, table } from "./table.ts";

const DIRECTORY = new URL("../../docs/performance/", import.meta.url);

/** By name, in its order. */
export function keptRuns(): ReadonlyMap<string, Kept> {
  const names = readdirSync(DIRECTORY).filter((file) => file.endsWith(".json"));
  return new Map(
    names
      .sort()
      .map((file) => [file.slice(0, -5), JSON.parse(readFileSync(new URL(file, DIRECTORY), "utf8")) as Kept]),
  );
}

export function performanceText(runs = keptRuns()): string {
  const graphs = graphsOf(runs);
  return [
    "# Performance",
    "",
    GENERATED,
    "",
    "What the benchmarks measured, as they said it: each table's command measures your machine. Figures of different machines",
    "and days do not compare; a ratio is one of two builds, or of Holdfast and a peer, that took turns in one run, and greater than 1",
    "is better for Holdfast. `npm run bench -- NAME --keep FILE` keeps a run in `docs/performance/`, `node test/documents/main.ts`",
    "makes this page of what lies there. `chrt -r 5` before a command keeps other load of the machine out of it; what waits for each",
    "other inside, on two cores, then waits for whole slices of 100 ms, so that its p99 and maxima are worse than without.",
    "",
    "## Goals",
    "",
    table(
      ["Row", "Run", "Goal", "Measured", ""],
      GOALS.map((goal) => goalRow(goal, runs.get(goal.run))),
    ),
    "",
    "## Cost over size",
    "",
    ...[...graphs].flatMap(([name, { title }]) => [`![${title}](performance/${name}.svg)`, ""]),
    "## Runs",
    "",
    ...[...runs].flatMap(([name, kept]) => runText(name, kept)),
  ].join("\n");
}

function goalRow(goal: Goal, kept: Kept | undefined): string[] {
  const row = kept?.rows.find((each) => each.case === goal.case);
  const value = row?.[goal.of];
  const sign = goal.atLeast === undefined ? "≤" : "≥";
  const bound = number(goal.atLeast ?? goal.atMost ?? 0);
  const unit = (of: Row | undefined) => (goal.of === "ratio" ? " ×" : of === undefined ? "" : ` ${of.unit}`);
  const verdict = value === undefined ? "not measured" : isMet(goal, value) ? "met" : "not met";
  return [
    goal.case,
    `\`${goal.run}\``,
    `${sign} ${bound}${unit(row)}${goal.of === "ratio" && row?.versus !== undefined ? ` ${row.versus}` : ""}`,
    value === undefined ? "" : `${number(value)}${unit(row)}`,
    verdict,
  ];
}

/** Whether a measured value is what was wanted. */
export function isMet({ atLeast, atMost }: Goal, value: number): boolean {
  return value >= (atLeast ?? Number.NEGATIVE_INFINITY) && value <= (atMost ?? Number.POSITIVE_INFINITY);
}

function runText(name: string, { command, commit, date, rows, environment }: Kept): string[] {
  const { cores, processor, kernel, node, memoryGiB } = environment;
  const isCompared = rows.some((row) => row.versus !== undefined);
  return [
    `### ${name}`,
    "",
    `\`${command}\` at ${commit} on ${date}: ${cores} cores of ${processor}, ${memoryGiB} GiB, Linux ${kernel}, Node ${node}.`,
    "",
    table(
      ["Row", "Value", ...(isCompared ? ["Beside", "Ratio"] : [])],
      rows.map((row) => [
        row.case,
        `${number(row.value)} ${row.unit}`,
        ...(isCompared ? [besideOf(row), row.ratio === undefined ? "" : number(row.ratio)] : []),
      ]),
    ),
    "",
  ];
}

function besideOf({ versus, theirs, unit }: Row): string {
  if (versus === undefined) return "";
  return theirs === undefined ? versus : `${number(theirs)} ${unit} (${versus})`;
}

const number = (value: number) => value.toLocaleString("en", { maximumFractionDigits: 3 });

/** By the name of their file. Only those of which there are two sizes and more. */
export function graphsOf(runs = keptRuns()): ReadonlyMap<string, Graph> {
  const graphs: [string, Graph][] = [
    [
      "memory",
      {
        title: "Resident memory of a member over the cluster's living sessions",
        sizeName: "living sessions",
        costName: "MiB",
        series: overRuns(runs, "memory", ["no session: resident", /^\d+ sessions, .*: resident$/]),
      },
    ],
    [
      "replication",
      {
        title: "Processor time of three members at 3,000 new sessions a second over the living sessions",
        sizeName: "living sessions",
        costName: "cores",
        series: overRuns(runs, "replication", [
          /^1000\/s a member.*: processor, all members$/,
          /^2000\/s a member.*: processor, all members$/,
        ]),
      },
    ],
    [
      "forward",
      {
        title: "Nanoseconds of one core a packet of 100 bytes over the flows that take turns",
        sizeName: "flows",
        costName: "ns a packet, generator included",
        series: overFlows(runs.get("forward-flows")),
      },
    ],
  ];
  return new Map(graphs.filter(([, { series }]) => series.some(({ points }) => points.length > 1)));
}

/** One line for each kind of row; the size is the number at the end of the run's name. */
function overRuns(
  runs: ReadonlyMap<string, Kept>,
  bench: string,
  cases: readonly (string | RegExp)[],
): Series[] {
  const sized = [...runs]
    .filter(([name]) => new RegExp(`^${bench}-\\d+$`).test(name))
    .map(([name, kept]) => ({ size: Number(name.slice(bench.length + 1)), rows: kept.rows }))
    .sort((a, b) => a.size - b.size);
  return cases.flatMap((wanted) => {
    const points = sized.flatMap(({ size, rows }) => {
      const row = rows.find((each) =>
        typeof wanted === "string" ? each.case === wanted : wanted.test(each.case),
      );
      return row === undefined ? [] : [[size, row.value] as const];
    });
    return points.length === 0 ? [] : [{ name: nameOf(wanted), points }];
  });
}

/** What a line is called. */
function nameOf(wanted: string | RegExp): string {
  if (typeof wanted === "string") return wanted.replace(/:.*/, "");
  const [, perMember] = /^\^(\d+)\\\/s/.exec(wanted.source) ?? [];
  return perMember === undefined ? "with sessions" : `${perMember}/s a member`;
}

function overFlows(kept: Kept | undefined): Series[] {
  const series = new Map<string, (readonly [number, number])[]>();
  for (const { case: name, value, unit } of kept?.rows ?? []) {
    const [, hook, flows] = /^([a-z-]+)\/(\d+)\/100B$/.exec(name) ?? [];
    if (hook === undefined || unit !== "Mpps" || value <= 0) continue;
    const points = series.get(hook) ?? [];
    points.push([Number(flows), 1_000 / value]);
    series.set(hook, points);
  }
  return [...series].map(([name, points]) => ({ name, points }));
}

/** The page and its graphs, as test/documents/documents.ts wants them. */
export function performanceDocuments(): Record<string, () => string> {
  const graphs = graphsOf();
  return {
    "docs/performance.md": () => performanceText(),
    ...Object.fromEntries(
      [...graphs].map(([name, graph]) => [`docs/performance/${name}.svg`, () => graphText(graph)]),
    ),
  };
}

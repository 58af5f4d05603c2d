// Two builds take turns in one run; what they measured becomes rows with a ratio.
import { fileURLToPath } from "node:url";
import type * as Bundle from "../../../deploy/bundle.ts";
import { bundle } from "../../../deploy/bundle.ts";
import { numberOf } from "../options/options.ts";
import * as Cluster from "../replication/cluster.ts";
import { type Row, rounded } from "../replication/report.ts";
import { type OtherBuild, OtherBuildError } from "./other-build.ts";

/** Of these units more is better; of all others less. */
const MORE_IS_BETTER = new Set(["Mpps", "/s"]);

export type Measure = (build: OtherBuild | undefined) => Promise<readonly Row[]>;

/**
 * Measures this build (`undefined`) and the other one in turns, `rounds` of each; the order changes from
 * round to round, so that a machine that becomes slower favours neither. What disturbs a round makes it worse
 * and never better: the best of a build's rounds is its figure.
 */
export async function alternate(baseline: OtherBuild, rounds: number, measure: Measure): Promise<Row[]> {
  const ours: (readonly Row[])[] = [];
  const theirs: (readonly Row[])[] = [];
  for (let round = 0; round < rounds; round++) {
    const builds = round % 2 === 0 ? [undefined, baseline] : [baseline, undefined];
    for (const build of builds) {
      console.error(`round ${round + 1} of ${rounds}: ${build?.revision ?? "this build"}`);
      (build === undefined ? ours : theirs).push(await measure(build));
    }
  }
  return compared(best(ours), best(theirs), baseline.revision);
}

/** `rounds` of this build alone, or of both in turns. */
export async function measured(
  baseline: OtherBuild | undefined,
  rounds: number,
  measure: Measure,
): Promise<readonly Row[]> {
  if (baseline !== undefined) return alternate(baseline, rounds, measure);
  const alone: (readonly Row[])[] = [];
  for (let round = 0; round < rounds; round++) alone.push(await measure(undefined));
  return best(alone);
}

/** Our rows, each with the ratio to the other's of the same case, greater than 1 is better for us. */
export function compared(ours: readonly Row[], theirs: readonly Row[], revision: string): Row[] {
  return ours.map((own) => {
    const { case: name, value, unit } = own;
    const row = { case: name, value, unit };
    const other = theirs.find((each) => each.case === name)?.value;
    if (other === undefined) return row;
    const [above, below] = isMoreBetter(own) ? [value, other] : [other, value];
    // Nothing beside nothing is the same.
    const ratio = above === below ? 1 : above / below;
    return {
      ...row,
      versus: revision,
      theirs: other,
      ...(Number.isFinite(ratio) && { ratio: rounded(ratio, 3) }),
    };
  });
}

/** Row by row the best of some rounds. */
export function best(rounds: readonly (readonly Row[])[]): Row[] {
  return (rounds[0] ?? []).map((first) => {
    const values = rounds.flatMap((rows) => rows.find((row) => row.case === first.case)?.value ?? []);
    return { ...first, value: isMoreBetter(first) ? Math.max(...values) : Math.min(...values) };
  });
}

function isMoreBetter(row: Row): boolean {
  return row.better === undefined ? MORE_IS_BETTER.has(row.unit) : row.better === "more";
}

/** How many rounds of each build: `--rounds N`, or so many. */
export function roundsOf(args: readonly string[], otherwise: number): number {
  return Math.max(1, numberOf(args, "rounds", otherwise));
}

/** The build's own module where it has one, so that its benchmark drives its own members. */
export async function clusterOf(build: OtherBuild | undefined): Promise<typeof Cluster> {
  const path = "test/bench/replication/cluster.ts";
  const theirs = build?.module(path);
  if (build !== undefined && theirs === undefined)
    throw new OtherBuildError(`revision '${build.revision}' has no ${path}`);
  return theirs === undefined ? Cluster : ((await import(theirs)) as typeof Cluster);
}

const programs = new Map<OtherBuild | undefined, Promise<string>>();

/** The command of a build as it is shipped: bundled, by a build that bundles. */
export function programOf(build: OtherBuild | undefined): Promise<string> {
  const known = programs.get(build);
  if (known !== undefined) return known;
  const made = bundled(build);
  programs.set(build, made);
  return made;
}

async function bundled(build: OtherBuild | undefined): Promise<string> {
  if (build === undefined) return bundle();
  const theirs = build.module("deploy/bundle.ts");
  if (theirs !== undefined) return ((await import(theirs)) as typeof Bundle).bundle();
  const sources = build.module("packages/cli/src/main.ts");
  if (sources === undefined) throw new OtherBuildError(`revision '${build.revision}' has no command`);
  return fileURLToPath(sources);
}

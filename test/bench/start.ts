// `npm run bench -- start`: from the start of the daemon's process until it may own VIPs, with a lab around
// it: one member alone, three that start together with nothing kept, one of three that comes back to the
// others with what it kept.
//
//   --rounds N   of each build, default 3; the best one counts
import { Cluster, type Member } from "@holdfast/testkit";
import { measured, programOf, roundsOf } from "./baseline/compare.ts";
import { forget, plainly, startAll, stopAll } from "./baseline/daemons.ts";
import type { OtherBuild } from "./baseline/other-build.ts";
import { print, type Row, rounded } from "./replication/report.ts";

export const takesBaseline = true;

export async function run(options: {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}): Promise<void> {
  const rounds = roundsOf(options.args, 3);
  const alone = new Cluster(plainly(1));
  const three = new Cluster(plainly(3));
  try {
    const once = (build: OtherBuild | undefined) => measure(alone, three, build);
    const rows = await measured(options.baseline, rounds, once);
    print("start", rows, options.json);
  } finally {
    await alone.close();
    await three.close();
  }
}

async function measure(alone: Cluster, three: Cluster, build: OtherBuild | undefined): Promise<Row[]> {
  const members = [...alone.members, ...three.members];
  for (const member of members) {
    member.program = await programOf(build);
    forget(member);
  }
  const row = (name: string, ms: number): Row => ({
    case: `${name}: ready after`,
    value: rounded(ms),
    unit: "ms",
  });
  try {
    const single = row("one member alone", await readyMs(alone.members));
    await stopAll(alone.members);
    const together = row("three members together, the last", await readyMs(three.members));
    await three.settled();
    const [first] = three.members as [Member];
    await stopAll([first]);
    return [single, together, row("one of three comes back", await readyMs([first]))];
  } finally {
    await stopAll(members);
  }
}

async function readyMs(members: readonly Member[]): Promise<number> {
  const startedMs = performance.now();
  await startAll(members);
  return performance.now() - startedMs;
}

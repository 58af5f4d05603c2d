// `npm run bench -- catch-up`: a member of three is killed and started again, with its store and without. How
// long until it is ready and shows every session, and how long the event loops of the others stood still
// meanwhile.
//
//   --live N   living sessions of the cluster, default 100,000
//   --rounds N clusters of each build, one after another, default 1; the best one counts
import { clusterOf, measured, roundsOf } from "./baseline/compare.ts";
import type { OtherBuild } from "./baseline/other-build.ts";
import { numberOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";

const MEMBER_COUNT = 3;
const LIMIT_MS = 120_000;

interface Stalls {
  readonly p999Ms: number;
  readonly maxMs: number;
}

export const takesBaseline = true;

export async function run(options: {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}): Promise<void> {
  const live = numberOf(options.args, "live", 100_000);
  const rows = await measured(options.baseline, roundsOf(options.args, 1), (build) => measure(build, live));
  print("catch-up", rows, options.json);
}

async function measure(build: OtherBuild | undefined, live: number): Promise<Row[]> {
  const { BenchCluster } = await clusterOf(build);
  const each = Math.floor(live / MEMBER_COUNT);
  const rows: Row[] = [];
  const cluster = await BenchCluster.open("crdt");
  try {
    await cluster.all({ name: "preload", count: each });
    await cluster.settled(each * MEMBER_COUNT, LIMIT_MS);
    for (const forgetStore of [false, true]) {
      const others = cluster.members.slice(0, 2);
      await cluster.members[2]?.kill();
      await Promise.all(others.map((member) => member.call({ name: "stalls" })));
      const startedMs = performance.now();
      const member = await cluster.startMember(2, { forgetStore });
      const listeningMs = performance.now() - startedMs;
      await member.call({ name: "connected", count: MEMBER_COUNT - 1 });
      const readyMs = performance.now() - startedMs;
      await cluster.settled(each * MEMBER_COUNT, LIMIT_MS);
      const completeMs = performance.now() - startedMs;
      const stalls = await Promise.all(others.map((other) => other.call<Stalls>({ name: "stalls" })));
      const name = `${live} sessions, ${forgetStore ? "without" : "with"} store`;
      const most = (of: (stall: Stalls) => number) => rounded(Math.max(...stalls.map(of)));
      rows.push(
        { case: `${name}: process listens`, value: rounded(listeningMs / 1_000, 2), unit: "s" },
        { case: `${name}: ready`, value: rounded(readyMs / 1_000, 2), unit: "s" },
        { case: `${name}: every session in the view`, value: rounded(completeMs / 1_000, 2), unit: "s" },
        { case: `${name}: event loops of the others, p99.9`, value: most((s) => s.p999Ms), unit: "ms" },
        { case: `${name}: event loops of the others, max`, value: most((s) => s.maxMs), unit: "ms" },
      );
    }
  } finally {
    await cluster.close();
  }
  return rows;
}

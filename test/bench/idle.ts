// `npm run bench -- idle`: what a member costs that does nothing: three daemons in a lab, no association; and
// three processes with so many idle sessions, without BPF. Processor time of all threads, and resident
// memory.
//
//   --seconds N  of each look, default 20
//   --settle N   seconds from readiness to the look, default 10
//   --live N     idle sessions of the cluster, default 100,000; 0 leaves them out
//   --rounds N   of each build, default 1; the best one counts
import { readFileSync } from "node:fs";
import { Cluster } from "@holdfast/testkit";
import { clusterOf, measured, programOf, roundsOf } from "./baseline/compare.ts";
import { forget, plainly, startAll, stopAll } from "./baseline/daemons.ts";
import type { OtherBuild } from "./baseline/other-build.ts";
import { numberOf } from "./options/options.ts";
import { print, type Row, rounded } from "./replication/report.ts";

const MEMBER_COUNT = 3;
const LIMIT_MS = 120_000;
const TICKS_PER_SECOND = 100;

export const takesBaseline = true;

interface Times {
  readonly seconds: number;
  readonly settleMs: number;
}

export async function run(options: {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}): Promise<void> {
  const times = {
    seconds: numberOf(options.args, "seconds", 20),
    settleMs: numberOf(options.args, "settle", 10) * 1_000,
  };
  const live = numberOf(options.args, "live", 100_000);
  const cluster = new Cluster(plainly(MEMBER_COUNT));
  try {
    const rows = await measured(options.baseline, roundsOf(options.args, 1), async (build) => [
      ...(await daemons(cluster, build, times)),
      ...(live > 0 ? await withSessions(build, live, times) : []),
    ]);
    print("idle", rows, options.json);
  } finally {
    await cluster.close();
  }
}

async function daemons(cluster: Cluster, build: OtherBuild | undefined, times: Times): Promise<Row[]> {
  for (const member of cluster.members) {
    member.program = await programOf(build);
    forget(member);
  }
  try {
    await startAll(cluster.members);
    return await look(
      "no session",
      cluster.members.flatMap(({ pid }) => pid ?? []),
      times,
    );
  } finally {
    await stopAll(cluster.members);
  }
}

async function withSessions(build: OtherBuild | undefined, live: number, times: Times): Promise<Row[]> {
  const { BenchCluster } = await clusterOf(build);
  const cluster = await BenchCluster.open("crdt", { whole: true });
  try {
    const each = Math.floor(live / MEMBER_COUNT);
    await cluster.all({ name: "preload", count: each });
    await cluster.settled(each * MEMBER_COUNT, LIMIT_MS);
    const processes = cluster.members.flatMap((member) => member.process.pid ?? []);
    return await look(`${live} sessions`, processes, times);
  } finally {
    await cluster.close();
  }
}

async function look(name: string, processes: readonly number[], times: Times): Promise<Row[]> {
  await pause(times.settleMs);
  const startedMs = performance.now();
  const before = processes.map(processorSeconds);
  await pause(times.seconds * 1_000);
  const seconds = (performance.now() - startedMs) / 1_000;
  const used = processes.map((pid, n) => (processorSeconds(pid) - (before[n] as number)) / seconds);
  const mean = used.reduce((sum, share) => sum + share, 0) / used.length;
  return [
    { case: `${name}: processor of a member`, value: rounded(mean * 100, 2), unit: "% of a core" },
    { case: `${name}: resident`, value: rounded(Math.max(...processes.map(residentMib))), unit: "MiB" },
  ];
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** User and system time of all threads of a process. */
function processorSeconds(pid: number): number {
  // The name, in brackets, may hold anything: fields are counted from its end.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function residentMib(pid: number): number {
  const [, kib = "0"] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) / 1_024;
}

// `npm run bench -- replication`: three members as processes on the loopback, TLS, store on disk. New sessions a second,
// lag from INIT-ACK at one member to the view of another, processor time and bytes; beside it the same workload on a
// plain last-writer-wins map over the same transport: the price of the CRDT.
//
//   --live N     living sessions of the cluster, default 100,000
//   --seconds N  of each measurement, default 10
import { BenchCluster } from "./replication/cluster.ts";
import type { MemberOptions, RunResult } from "./replication/member.ts";
import { machineSeconds, numberOf, print, type Row, rounded } from "./replication/report.ts";

const MEMBER_COUNT = 3;

interface Measured {
  readonly perSecond: number;
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  readonly arrivedShare: number;
  readonly cores: number;
  /** What everything else on the machine took meanwhile: the figures hold only where that is little. */
  readonly otherCores: number;
  readonly bytesPerSession: number;
  readonly releaseP50Ms: number;
  readonly releaseP99Ms: number;
  readonly releaseTimeoutShare: number;
}

export async function run(options: { readonly json: boolean; readonly args: string[] }): Promise<void> {
  const live = numberOf(options.args, "live", 100_000);
  const seconds = numberOf(options.args, "seconds", 10);
  const rows: Row[] = [];
  const ours = await measure("crdt", live, seconds, [1_000, 2_000]);
  const theirs = await measure("last-writer", live, seconds, [1_000, 2_000]);
  for (const [i, perMember] of [1_000, 2_000].entries()) {
    const a = ours[i] as Measured;
    const b = theirs[i] as Measured;
    const versus = "last-writer-wins map";
    const name = `${perMember}/s a member, ${live} live`;
    rows.push(
      {
        case: `${name}: new sessions`,
        value: Math.round(a.perSecond),
        unit: "/s",
        versus,
        ratio: rounded(a.perSecond / b.perSecond, 2),
      },
      {
        case: `${name}: lag p50`,
        value: rounded(a.lagP50Ms),
        unit: "ms",
        versus,
        ratio: rounded(b.lagP50Ms / a.lagP50Ms, 2),
      },
      {
        case: `${name}: lag p99`,
        value: rounded(a.lagP99Ms),
        unit: "ms",
        versus,
        ratio: rounded(b.lagP99Ms / a.lagP99Ms, 2),
      },
      { case: `${name}: lag max`, value: rounded(a.lagMaxMs), unit: "ms" },
      { case: `${name}: arrived within the run`, value: rounded(a.arrivedShare * 100), unit: "%" },
      {
        case: `${name}: processor, all members`,
        value: rounded(a.cores, 2),
        unit: "cores",
        versus,
        ratio: rounded(b.cores / a.cores, 2),
      },
      { case: `${name}: processor, others on the machine`, value: rounded(a.otherCores, 2), unit: "cores" },
      {
        case: `${name}: sent per session`,
        value: Math.round(a.bytesPerSession),
        unit: "B",
        versus,
        ratio: rounded(b.bytesPerSession / a.bytesPerSession, 2),
      },
      { case: `${name}: release p50`, value: rounded(a.releaseP50Ms), unit: "ms" },
      { case: `${name}: release p99`, value: rounded(a.releaseP99Ms), unit: "ms" },
      { case: `${name}: release timed out`, value: rounded(a.releaseTimeoutShare * 100, 2), unit: "%" },
    );
  }
  print("replication", rows, options.json);
}

async function measure(
  kind: MemberOptions["kind"],
  live: number,
  seconds: number,
  rates: readonly number[],
): Promise<Measured[]> {
  const cluster = await BenchCluster.open(kind);
  try {
    const each = Math.floor(live / MEMBER_COUNT);
    await cluster.all({ name: "preload", count: each });
    await cluster.settled(each * MEMBER_COUNT);
    const measured: Measured[] = [];
    for (const perSecond of rates) {
      const before = machineSeconds();
      const startedMs = performance.now();
      const results = await cluster.all<RunResult>({ name: "run", perSecond, seconds, live: each });
      const wallSeconds = (performance.now() - startedMs) / 1_000;
      measured.push(summary(results, (machineSeconds() - before) / wallSeconds));
      await cluster.settled(each * MEMBER_COUNT);
    }
    return measured;
  } finally {
    await cluster.close();
  }
}

function summary(results: readonly RunResult[], machineCores: number): Measured {
  const sum = (of: (result: RunResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const most = (of: (result: RunResult) => number) => Math.max(...results.map(of));
  const created = sum((r) => r.created);
  return {
    perSecond: sum((r) => (r.created * 1_000) / r.wallMs),
    // The slowest member's: a mean of percentiles means nothing.
    lagP50Ms: most((r) => r.lagP50Ms),
    lagP99Ms: most((r) => r.lagP99Ms),
    lagMaxMs: most((r) => r.lagMaxMs),
    arrivedShare: sum((r) => r.lagCount) / (created * (results.length - 1)),
    cores: sum((r) => r.cores),
    otherCores: Math.max(0, machineCores - sum((r) => r.cores)),
    bytesPerSession: sum((r) => r.sentBytes) / created,
    releaseP50Ms: most((r) => r.releaseP50Ms),
    releaseP99Ms: most((r) => r.releaseP99Ms),
    releaseTimeoutShare: (sum((r) => r.releaseTimeouts) * 8) / created,
  };
}

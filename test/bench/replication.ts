// `npm run bench -- replication`: three members as processes on the loopback, TLS, store on disk. New
// sessions a second, lag from INIT-ACK at one member to the view of another, processor time and bytes; beside
// it the same workload on a plain last-writer-wins map over the same transport: the price of the CRDT.
//
//   --live N     living sessions of the cluster, default 100,000
//   --seconds N  of each measurement, default 10
//   --rounds N   with --baseline: clusters of each build, one after another, default 2
import { alternate, clusterOf, compared, roundsOf } from "./baseline/compare.ts";
import type { OtherBuild } from "./baseline/other-build.ts";
import { numberOf } from "./options/options.ts";
import type { MemberOptions, RunResult } from "./replication/member.ts";
import { machineSeconds, print, type Row, rounded } from "./replication/report.ts";
import { threadMicroseconds } from "./replication/threads.ts";

const MEMBER_COUNT = 3;

interface Measured {
  readonly perSecond: number;
  /** Of all members, microseconds a new session, by thread. */
  readonly threads: ReadonlyMap<string, number>;
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

export const takesBaseline = true;

const RATES = [1_000, 2_000] as const;

export async function run(options: {
  readonly json: boolean;
  readonly args: string[];
  readonly baseline?: OtherBuild;
}): Promise<void> {
  const live = numberOf(options.args, "live", 100_000);
  const seconds = numberOf(options.args, "seconds", 10);
  if (options.baseline !== undefined) {
    const rows = await alternate(options.baseline, roundsOf(options.args, 2), async (build) =>
      rowsOf(await measure(build, "crdt", live, seconds), live),
    );
    print("replication", rows, options.json);
    return;
  }
  const ours = rowsOf(await measure(undefined, "crdt", live, seconds), live);
  const theirs = rowsOf(await measure(undefined, "last-writer", live, seconds), live);
  const versus = "last-writer-wins map";
  const both = new Set(COMPARED.flatMap((what) => RATES.map((rate) => caseOf(rate, live, what))));
  const rows = ours.map((row) => (both.has(row.case) ? (compared([row], theirs, versus)[0] ?? row) : row));
  print("replication", rows, options.json);
}

/** What a plain map has as well. */
const COMPARED = [
  "new sessions",
  "lag p50",
  "lag p99",
  "processor, all members",
  "sent per session",
] as const;

const caseOf = (perMember: number, live: number, what: string) =>
  `${perMember}/s a member, ${live} live: ${what}`;

function rowsOf(measured: readonly Measured[], live: number): Row[] {
  return measured.flatMap((a, i) => {
    const row = (what: string, value: number, unit: string, better?: "more"): Row => ({
      case: caseOf(RATES[i] ?? 0, live, what),
      value,
      unit,
      ...(better && { better }),
    });
    return [
      ...[...a.threads].map(([name, us]) => row(`processor a session, ${name}`, rounded(us), "µs")),
      row("new sessions", Math.round(a.perSecond), "/s"),
      row("lag p50", rounded(a.lagP50Ms), "ms"),
      row("lag p99", rounded(a.lagP99Ms), "ms"),
      row("lag max", rounded(a.lagMaxMs), "ms"),
      row("arrived within the run", rounded(a.arrivedShare * 100), "%", "more"),
      row("processor, all members", rounded(a.cores, 2), "cores"),
      row("processor, others on the machine", rounded(a.otherCores, 2), "cores"),
      row("sent per session", Math.round(a.bytesPerSession), "B"),
      row("release p50", rounded(a.releaseP50Ms), "ms"),
      row("release p99", rounded(a.releaseP99Ms), "ms"),
      row("release timed out", rounded(a.releaseTimeoutShare * 100, 2), "%"),
    ];
  });
}

async function measure(
  build: OtherBuild | undefined,
  kind: MemberOptions["kind"],
  live: number,
  seconds: number,
): Promise<Measured[]> {
  const { BenchCluster } = await clusterOf(build);
  const cluster = await BenchCluster.open(kind);
  try {
    const each = Math.floor(live / MEMBER_COUNT);
    await cluster.all({ name: "preload", count: each });
    await cluster.settled(each * MEMBER_COUNT);
    const measured: Measured[] = [];
    for (const perSecond of RATES) {
      const processes = cluster.members.flatMap((member) => member.process.pid ?? []);
      const threadsBefore = threadMicroseconds(processes);
      const before = machineSeconds();
      const startedMs = performance.now();
      const results = await cluster.all<RunResult>({ name: "run", perSecond, seconds, live: each });
      const wallSeconds = (performance.now() - startedMs) / 1_000;
      const machineCores = (machineSeconds() - before) / wallSeconds;
      const threads = perSession(threadsBefore, threadMicroseconds(processes), results);
      measured.push(summary(results, machineCores, threads));
      await cluster.settled(each * MEMBER_COUNT);
    }
    return measured;
  } finally {
    await cluster.close();
  }
}

function perSession(
  before: ReadonlyMap<string, number>,
  after: ReadonlyMap<string, number>,
  results: readonly RunResult[],
): ReadonlyMap<string, number> {
  const created = results.reduce((total, result) => total + result.created, 0);
  return new Map([...after].map(([name, us]) => [name, (us - (before.get(name) ?? 0)) / created]));
}

function summary(
  results: readonly RunResult[],
  machineCores: number,
  threads: ReadonlyMap<string, number>,
): Measured {
  const sum = (of: (result: RunResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const most = (of: (result: RunResult) => number) => Math.max(...results.map(of));
  const created = sum((r) => r.created);
  return {
    threads,
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

// Seeded simulation: replication alone, and whole clusters.
import { automergeJournal, memoryJournal } from "@holdfast/sync/testing";
import { readCommandLine, refuse, wholeNumberOf } from "../run/command-line.ts";
import { keep, shrinkReplication, shrinkWhole } from "./corpus.ts";
import { FAULTS } from "./faults.ts";
import { MOVING, simulate } from "./simulation.ts";
import { WHOLE_FAULTS } from "./whole/faults.ts";
import { movingScheduleOf } from "./whole/moving-schedule.ts";
import { scheduleOf } from "./whole/schedule.ts";
import { simulateWhole } from "./whole/simulation.ts";

const HELP = `npm run simulate -- [options]

Two simulations on simulated clock, network and disk, each from a seed; the same seed is the same run.
  replication     members' journals, views and disks under partitions, crashes, clock jumps, slow links; associations are
                  an abstract workload
  whole clusters  daemons composed as in production (forwarder, replication, coordinator, announcer) between SCTP clients
                  and endpoints: loss, reordering, duplication, cuts, kills, frozen processes, upgrades, forgeries, floods

  --seeds N       N seeds of replication, and a tenth as many whole clusters, which take longer (default 100)
  --whole         the seeds are of whole clusters alone
  --replication   the seeds are of replication alone
  --moving        the list of members changes meanwhile: members come, leave, die for good, return under new names; members
                  of several versions. A seed is another run than without
  --seed X        this one seed of both (or of the one that is named)
  --from X        the first seed (default 1)
  --members N     replication: members; drawn from the seed when absent
  --journal J     memory (default) or automerge
  --fault TEXT    with a deliberate fault whose name contains TEXT: it must be found
  --story         tells what happens
  --keep          a failing seed is cut down and written to test/simulation/seeds, which everyday tests replay
  --json          ends with one line of JSON
`;

const values = readCommandLine(HELP, {
  seeds: { type: "string", default: "100" },
  seed: { type: "string" },
  from: { type: "string", default: "1" },
  whole: { type: "boolean", default: false },
  replication: { type: "boolean", default: false },
  moving: { type: "boolean", default: false },
  members: { type: "string" },
  journal: { type: "string", default: "memory" },
  fault: { type: "string" },
  story: { type: "boolean", default: false },
  keep: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
});
const WHOLE_SHARE = 10;
const SAY_PERIOD_MS = 60_000;
if (values.journal !== "memory" && values.journal !== "automerge")
  refuse(`--journal takes memory or automerge, not '${values.journal}'`, HELP);
if (values.whole && values.replication) refuse("--whole and --replication exclude each other", HELP);
const journals = values.journal === "automerge" ? automergeJournal : memoryJournal;
const named = (name: string) => values.fault !== undefined && name.includes(values.fault);
const fault = FAULTS.find(({ name }) => named(name));
const wholeFault = WHOLE_FAULTS.find(({ name }) => named(name));
if (values.fault !== undefined && fault === undefined && wholeFault === undefined) {
  const names = [...FAULTS, ...WHOLE_FAULTS].map(({ name }) => name);
  console.error(`No such fault. There are: ${names.join("; ")}`);
  process.exit(2);
}
const number = (name: "seed" | "seeds" | "from" | "members", least: number) =>
  wholeNumberOf(values[name] ?? "", name, HELP, least);
const from = number(values.seed === undefined ? "from" : "seed", 0);
const count = values.seed === undefined ? number("seeds", 1) : 1;
const memberCount = values.members === undefined ? undefined : number("members", 1);
const doesReplication = !values.whole && (values.fault === undefined || fault !== undefined);
const doesWhole = !values.replication && (values.fault === undefined || wholeFault !== undefined);
const wholeCount = !doesWhole
  ? 0
  : values.whole || values.seed !== undefined || values.fault !== undefined
    ? count
    : Math.ceil(count / WHOLE_SHARE);

interface Tally {
  readonly seeds: number;
  readonly failed: number[];
  eventCount: number;
  simulatedMs: number;
  opened: number;
  seconds: number;
}

const tallyOf = (seeds: number): Tally => ({
  seeds,
  failed: [],
  eventCount: 0,
  simulatedMs: 0,
  opened: 0,
  seconds: 0,
});

async function replication(seeds: number): Promise<Tally> {
  const tally = tallyOf(seeds);
  const startedAt = performance.now();
  for (let seed = from; seed < from + seeds; seed++) {
    const options = {
      seed,
      journals,
      ...(values.moving && MOVING),
      ...(memberCount !== undefined && { memberCount }),
      ...(fault === undefined ? {} : { fault }),
    };
    const result = await simulate(options);
    const { violations } = result;
    add(tally, seed, result, `replication, ${result.memberCount} members`);
    if (violations[0] !== undefined && values.keep)
      console.log(`  kept: ${keep(await shrinkReplication(options, violations[0], result.happeningCount))}`);
  }
  tally.seconds = (performance.now() - startedAt) / 1000;
  return tally;
}

async function whole(seeds: number): Promise<Tally & { readonly totals: Record<string, number> }> {
  const tally = { ...tallyOf(seeds), totals: {} as Record<string, number> };
  const startedAt = performance.now();
  for (let seed = from; seed < from + seeds; seed++) {
    const schedule = values.moving ? movingScheduleOf(seed) : scheduleOf(seed);
    const options = { schedule, fault: wholeFault, journals, story: values.story };
    const result = await simulateWhole(options);
    const { violations } = result;
    add(tally, seed, result, `whole cluster, ${result.memberCount} members`);
    for (const [name, total] of Object.entries(result.totals))
      tally.totals[name] = (tally.totals[name] ?? 0) + total;
    if (violations[0] !== undefined && values.keep)
      console.log(`  kept: ${keep(await shrinkWhole(options, violations[0]))}`);
  }
  tally.seconds = (performance.now() - startedAt) / 1000;
  return tally;
}

/** Thousands of seeds take an hour: how far it is goes to standard error now and then. */
let saidAtMs = performance.now();
function add(
  tally: Tally,
  seed: number,
  result: {
    readonly violations: readonly string[];
    readonly story: readonly string[];
    readonly eventCount: number;
    readonly simulatedMs: number;
    readonly opened: number;
  },
  what: string,
): void {
  if (performance.now() - saidAtMs >= SAY_PERIOD_MS) {
    saidAtMs = performance.now();
    console.error(`${what.split(",")[0]}: at seed ${seed}, ${tally.failed.length} failed so far`);
  }
  tally.eventCount += result.eventCount;
  tally.simulatedMs += result.simulatedMs;
  tally.opened += result.opened;
  if (values.story) console.log(`seed ${seed}, ${what}\n  ${result.story.join("\n  ")}`);
  if (result.violations.length === 0) return;
  tally.failed.push(seed);
  console.log(`seed ${seed} (${what}): ${result.violations.slice(0, 6).join("\n  ")}`);
  const members = memberCount === undefined ? "" : ` --members ${memberCount}`;
  const faults = values.fault === undefined ? "" : ` --fault "${values.fault}"`;
  const kind =
    (what.startsWith("whole") ? " --whole" : " --replication") + (values.moving ? " --moving" : "");
  console.log(
    `  again: npm run simulate -- --seed ${seed}${kind} --journal ${values.journal}${members}${faults} --story`,
  );
}

const sum = ({ seeds, failed, opened, simulatedMs, seconds }: Tally, what: string) =>
  console.log(
    `${what}: ${seeds} seeds, ${failed.length} failed; ${opened} associations, ${(simulatedMs / 1000).toFixed(0)} s simulated in ${seconds.toFixed(1)} s`,
  );

const ofReplication = doesReplication ? await replication(count) : undefined;
if (ofReplication !== undefined) sum(ofReplication, "replication");
const ofWhole = wholeCount > 0 ? await whole(wholeCount) : undefined;
if (ofWhole !== undefined) sum(ofWhole, "whole clusters");
const failedCount = (ofReplication?.failed.length ?? 0) + (ofWhole?.failed.length ?? 0);
if (values.json)
  console.log(
    JSON.stringify({
      seeds: (ofReplication?.seeds ?? 0) + (ofWhole?.seeds ?? 0),
      failed: [...(ofReplication?.failed ?? []), ...(ofWhole?.failed ?? [])],
      replication: ofReplication,
      whole: ofWhole,
    }),
  );
process.exit(failedCount > 0 && values.fault === undefined ? 1 : 0);

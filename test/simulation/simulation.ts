// One seed: a cluster, its clients, and what goes wrong; then peace, and the checks.
import type { JournalFactory } from "@holdfast/sync/testing";
import { check } from "./checks.ts";
import { Cluster } from "./cluster.ts";
import type { Fault } from "./faults.ts";
import { LaterFacts } from "./later.ts";
import { IDLE_LIMIT_MS, MEMORY_MS } from "./member.ts";
import { MemberMoves } from "./moves.ts";
import { Workload } from "./workload.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** 3 to 7; drawn from the seed when left out. */
  readonly memberCount?: number;
  readonly journals: JournalFactory;
  readonly fault?: Fault;
  readonly chaosMs?: number;
  /** Members come, go, and return under new names. */
  readonly movesMembers?: boolean;
  /** Happenings that are left out, by their number: for a failing seed that is cut down. */
  readonly skip?: ReadonlySet<number>;
}

export interface SimulationResult {
  readonly seed: number;
  readonly memberCount: number;
  readonly violations: readonly string[];
  readonly eventCount: number;
  readonly simulatedMs: number;
  readonly opened: number;
  readonly story: readonly string[];
  /** Of clients and of trouble, together. */
  readonly happeningCount: number;
}

/** Long enough for numbers to rest and be given again: none is within 9 s. */
export const MOVING = { chaosMs: 14_000, movesMembers: true } as const;

/** Between two changes of the list. */
const MOVE_PERIOD_MS = 900;
const CHAOS_MS = 3_200;
const LONG_CHAOS_MS = 9_000;
/** Associations that a long partition finds. */
const EARLY_COUNT = 6;
/** Every eighth seed has one partition that outlasts idle limit, tombstones and journals. */
const LONG_PARTITION_EVERY = 8;
/** Ghosts are idle first, then tombstones, then the journals forget them: and all that once more for what came late. */
const SETTLE_MS = IDLE_LIMIT_MS * 1.5 + MEMORY_MS * 5;
/** Before it nothing is looked at: what will be lost needs time to be lost. */
const SETTLE_MIN_MS = IDLE_LIMIT_MS + MEMORY_MS * 2;
const SETTLE_STEP_MS = 400;
/** Time in which every fact reaches everybody. */
const QUIET_MS = 150;
const SAY_PERIOD_MS = 130;
const TALK_PERIOD_MS = IDLE_LIMIT_MS / 4;
/** A fact that its member took with it in less than this was with nobody else. */
const REPLICATION_MS = 250;

export async function simulate(options: SimulationOptions): Promise<SimulationResult> {
  const {
    seed,
    journals,
    fault,
    chaosMs = options.seed % LONG_PARTITION_EVERY === 0 ? LONG_CHAOS_MS : CHAOS_MS,
  } = options;
  const memberCount =
    options.memberCount ?? 3 + (seed % 32 === 31 ? 4 : seed % 16 === 15 ? 2 : seed % 5 === 0 ? 1 : 0);
  const cluster = new Cluster({ seed, memberCount, journals, fault });
  const isLong = seed % LONG_PARTITION_EVERY === 0;
  // Few NAT ports, so that one that was freed too early is soon in other hands.
  const workload = new Workload(cluster, isLong ? 1 : 2);
  const later = new LaterFacts(cluster, cluster.versions, seed);
  const { time, random } = cluster;
  const story: string[] = [];
  const tell = (what: string) => {
    story.push(`${Math.round(time.nowMs)} ms: ${what}`);
    workload.quietSinceMs = time.nowMs;
  };
  for (const member of cluster.members) await member.start();
  await time.run(500);

  let happeningCount = 0;
  const every = (periodMs: number, untilMs: number, action: () => void) => {
    const again = () => {
      if (time.nowMs >= untilMs) return;
      if (options.skip?.has(happeningCount++) !== true) action();
      time.at(time.nowMs + periodMs / 2 + random.below(periodMs), again);
    };
    time.at(time.nowMs + random.below(periodMs), again);
  };
  const chaosUntilMs = time.nowMs + chaosMs;
  const settleUntilMs = chaosUntilMs + SETTLE_MS;
  every(250, chaosUntilMs, () => workload.open());
  const isCrowded = () => !isLong || workload.alive.length > EARLY_COUNT;
  every(900, chaosUntilMs, () => workload.restart());
  every(700, chaosUntilMs, () => {
    if (isCrowded()) workload.end();
  });
  every(900, chaosUntilMs, () => {
    if (isCrowded()) workload.vanish();
  });
  if (cluster.versions.later.size > 0) {
    // Not by `every`: the numbers of happenings, and what is drawn for them, are those of a run without.
    const say = () => {
      if (time.nowMs >= chaosUntilMs) return;
      later.say();
      time.at(time.nowMs + SAY_PERIOD_MS, say);
    };
    time.at(time.nowMs + SAY_PERIOD_MS, say);
  }
  let talking = true;
  every(TALK_PERIOD_MS, settleUntilMs, () => {
    if (talking) workload.talk();
  });

  const trouble = [
    () => {
      cluster.split();
      tell("partition");
    },
    () => {
      cluster.heal();
      tell("heal");
    },
    () => {
      const victim = cluster.pick(cluster.running());
      if (victim === undefined || cluster.running().length < 2) return;
      // A disk is lost only when everybody else is there and in step: two losses at once lose data by right.
      const isSafe =
        cluster.isWhole &&
        cluster.running().length === cluster.members.length &&
        time.nowMs - workload.quietSinceMs > REPLICATION_MS;
      const disk = isSafe && random.below(2) === 0 && !cluster.isSlow ? "lost" : "kept";
      workload.died(victim.member.number, time.nowMs, REPLICATION_MS);
      later.died(victim.member.number, time.nowMs, REPLICATION_MS);
      victim.member.crash(disk);
      tell(`m${victim.member.number} crashes, disk ${disk}`);
      const downMs = random.below(3) === 0 ? MEMORY_MS * 1.5 : 50 + random.below(800);
      time.at(time.nowMs + downMs, () => {
        if (victim.member.life !== undefined) return;
        void victim.member.start();
        tell(`m${victim.member.number} starts`);
      });
    },
    () => {
      const member = cluster.pick(cluster.members);
      const byMs = (random.below(2) === 0 ? -1 : 1) * random.below(3_600_000);
      member?.jump(byMs);
      tell(`clock of m${member?.number} jumps by ${byMs} ms`);
    },
    () => {
      const [a, b] = [random.below(memberCount), random.below(memberCount)];
      if (a === b) return;
      cluster.network.stall(a, b, true);
      tell(`m${a} to m${b} stalls`);
      time.at(time.nowMs + 50 + random.below(1_000), () => {
        cluster.network.stall(a, b, false);
        tell(`m${a} to m${b} flows`);
      });
    },
    () => {
      cluster.network.break(random.below(memberCount), random.below(memberCount));
      tell("a connection breaks");
    },
    () => {
      cluster.slow(true);
      tell("slow network");
      time.at(time.nowMs + 500, () => {
        cluster.slow(false);
        tell("fast network");
      });
    },
    () => {
      cluster.pick(cluster.members)?.corruptNext(random.uint32());
      tell("a change is damaged on its way");
    },
  ];
  // Cutting and healing come first in the list, and wait until a long partition is over.
  if (isLong) {
    for (let i = 0; i < EARLY_COUNT; i++) workload.open();
    time.at(time.nowMs + 300, () => {
      cluster.split();
      tell("long partition");
    });
  }
  every(700, chaosUntilMs, () =>
    trouble[isLong ? 2 + random.below(trouble.length - 2) : random.below(trouble.length)]?.(),
  );

  if (options.movesMembers === true) {
    const moves = new MemberMoves(cluster, workload, later, tell);
    every(MOVE_PERIOD_MS, chaosUntilMs, () => moves.move());
  }

  await time.run(chaosUntilMs);
  cluster.heal();
  for (const member of cluster.members) if (member.life === undefined) void member.start();
  tell("peace");
  let violations: string[] = [];
  for (let untilMs = time.nowMs + SETTLE_MIN_MS; untilMs <= settleUntilMs; untilMs += SETTLE_STEP_MS) {
    await time.run(untilMs);
    // Facts on their way are not yet everywhere: the talk pauses before each look.
    talking = false;
    await time.run(untilMs + QUIET_MS);
    violations = [...check(cluster, workload, later.livingCount), ...later.check()];
    talking = true;
    if (violations.length === 0 || workload.violations.length > 0) break;
  }
  workload.stop();
  for (const { life } of cluster.running()) life.engine.abandon();
  return {
    seed,
    memberCount,
    violations,
    eventCount: time.eventCount,
    simulatedMs: time.nowMs,
    opened: workload.totals.opened,
    story,
    happeningCount,
  };
}

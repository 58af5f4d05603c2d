// Random lives of a cluster, each from one seed, and the invariants that must hold all the way.
import { type Address, type MemberName, type Random, seededRandom } from "@holdfast/model";
import {
  DEFAULT_TIMING,
  deadAfterMs,
  type MemberConfiguration,
  unheardAfterMs,
} from "../../configuration.ts";
import { viewOf } from "../../membership/state.ts";
import type { Placement } from "../../ownership/placement.ts";
import { isPresent } from "../../view.ts";
import { QUANTUM_MS, type SeededFault, SimulatedCluster } from "./cluster.ts";

const NETWORKS = ["cluster", "path-a", "path-b"] as const;
const CATCH_UP_MS = 300;
const SETTLE_MS = 300;
/** One way, the same for all datagrams of a run but for some jitter. */
const DELAY_MAX_MS = 12;
/** Detection plus one step, and what the way of a datagram and the simulation's own grain add. */
const EXTRA_MS = DEFAULT_TIMING.probeIntervalMs + DELAY_MAX_MS + 2 * QUANTUM_MS;
const TAKEOVER_MAX_MS = deadAfterMs(DEFAULT_TIMING) + EXTRA_MS;
const NETWORK_TAKEOVER_MAX_MS = unheardAfterMs(DEFAULT_TIMING) + EXTRA_MS;
/** Enough for verdict, catch-up, settling (doubled a few times) and hand-over. */
const QUIET_MS = 600;

export function membersOf(count: number, networks: readonly string[] = NETWORKS): MemberConfiguration[] {
  return Array.from({ length: count }, (_, index) => ({
    name: `m${String(index).padStart(3, "0")}`,
    number: index,
    addresses: networks.map((network) => ({
      network,
      address: `10.0.${index >> 8}.${index & 0xff}`,
      port: 7_000,
    })),
  }));
}

export function placementOf(serviceCount: number): Placement {
  return {
    services: Array.from({ length: serviceCount }, (_, index) => ({
      id: `sctp/203.0.113.${index}:38412`,
      vips: [
        { vip: `203.0.113.${index}`, network: "path-a" },
        { vip: `203.0.114.${index}`, network: "path-b" },
      ],
    })),
    pins: [],
    drains: [],
    minimumMembers: 1,
    clusterNetworks: ["cluster"],
  };
}

export class Scenario {
  readonly violations: string[] = [];
  readonly cluster: SimulatedCluster;
  private readonly random: Random;
  private readonly vips: readonly Address[];
  private readonly names: readonly MemberName[];
  /** Who owns what when everybody is well. */
  private home = new Map<Address, MemberName>();
  private readonly down = new Set<MemberName>();
  private readonly gapSinceMs = new Map<Address, number>();
  private gapMaxMs = 0;
  private disturbedAtMs = 0;
  private takeoverMark = 0;

  constructor(seed: number, options: { readonly fault?: SeededFault } = {}) {
    this.random = seededRandom(seed);
    const memberCount = 3 + this.random.below(4);
    const members = membersOf(memberCount);
    const placement = placementOf(1 + this.random.below(4));
    this.names = members.map(({ name }) => name);
    this.vips = placement.services.flatMap(({ vips }) => vips.map(({ vip }) => vip));
    this.cluster = new SimulatedCluster({
      seed,
      members,
      placement,
      catchUpMs: CATCH_UP_MS,
      timing: { settleMs: SETTLE_MS, settleMaxMs: SETTLE_MS },
      ...(options.fault === undefined ? {} : { fault: options.fault }),
    });
    this.cluster.network.faults.delayMs = 0.1 + this.random.below(DELAY_MAX_MS);
  }

  /** A start, `stepCount` random events with their checks, and a last look. */
  run(stepCount: number): readonly string[] {
    this.cluster.startAll();
    this.cluster.run(CATCH_UP_MS + QUIET_MS);
    for (const vip of this.vips) this.home.set(vip, this.cluster.announcers(vip)[0] ?? "nobody");
    this.takeoverMark = this.cluster.takeovers.length;
    this.checkConverged("after the start");
    this.cluster.observe(() => this.watch());
    for (let i = 0; i < stepCount && this.violations.length === 0; i++) this.step();
    return this.violations;
  }

  private step(): void {
    const steps = [
      () => this.killAndRestart(),
      () => this.killTwo(),
      () => this.zombie(),
      () => this.shortFreeze(),
      () => this.clusterNetworkOnly(),
      () => this.pathNetwork(),
      () => this.split(),
      () => this.loss(),
      () => this.drain(),
      () => this.clockJump(),
    ];
    steps[this.random.below(steps.length)]?.();
  }

  private killAndRestart(): void {
    const name = this.anyone();
    this.expect(`kill ${name}`, this.homesOf([name]), TAKEOVER_MAX_MS, () => this.kill(name), QUIET_MS);
    this.expect(`restart ${name}`, this.homesOf([name]), 0, () => this.restart(name), CATCH_UP_MS + QUIET_MS);
  }

  private killTwo(): void {
    const first = this.anyone();
    const second = this.names.find((name) => name !== first) as MemberName;
    this.expect(
      `kill ${first}`,
      this.homesOf([first]),
      TAKEOVER_MAX_MS,
      () => this.kill(first),
      this.random.below(300),
    );
    // What the first one left may have to move again.
    this.expect(
      `kill ${second} too`,
      this.homesOf([first, second]) * 2,
      TAKEOVER_MAX_MS,
      () => this.kill(second),
      QUIET_MS,
    );
    this.expect(
      `restart ${second}`,
      this.homesOf([first, second]),
      0,
      () => this.restart(second),
      CATCH_UP_MS + QUIET_MS,
    );
    this.expect(
      `restart ${first}`,
      this.homesOf([first, second]),
      0,
      () => this.restart(first),
      CATCH_UP_MS + QUIET_MS,
    );
  }

  private zombie(): void {
    const name = this.anyone();
    const freeze = () => {
      this.cluster.freeze(name);
      this.down.add(name);
    };
    this.expect(
      `stop ${name}`,
      this.homesOf([name]),
      TAKEOVER_MAX_MS,
      freeze,
      300 + this.random.below(2_000),
    );
    const mark = this.cluster.takeovers.length;
    const thaw = () => {
      this.cluster.thaw(name);
      this.down.delete(name);
    };
    this.expect(`continue ${name}`, this.homesOf([name]), 0, thaw, SETTLE_MS + QUIET_MS);
    const early = this.cluster.takeovers
      .slice(mark)
      .find(({ by, atMs }) => by === name && atMs < this.disturbedAtMs + SETTLE_MS);
    if (early !== undefined)
      this.violations.push(`${name} came back as a zombie and took ${early.vip} at once`);
  }

  private shortFreeze(): void {
    const name = this.anyone();
    this.expect(`stop ${name} shortly`, 0, 100, () => this.cluster.freeze(name), 25);
    this.expect(`continue ${name} soon`, 0, 0, () => this.cluster.thaw(name), 300);
  }

  private clusterNetworkOnly(): void {
    const name = this.anyone();
    this.expect(
      `cut ${name} from the cluster network`,
      0,
      0,
      () => this.cluster.partition([name], ["cluster"]),
      QUIET_MS,
    );
    this.expect("heal", 0, 0, () => this.cluster.network.heal(), 300);
  }

  private pathNetwork(): void {
    const name = this.anyone();
    const network = this.random.below(2) === 0 ? "path-a" : "path-b";
    const prefix = network === "path-a" ? "203.0.113." : "203.0.114.";
    const affected = [...this.home].filter(([vip, owner]) => owner === name && vip.startsWith(prefix)).length;
    const cut = () => this.cluster.partition([name], [network]);
    this.expect(`cut ${name} from ${network}`, affected, NETWORK_TAKEOVER_MAX_MS, cut, QUIET_MS);
    this.expect(`heal ${network}`, affected, 0, () => this.cluster.network.heal(), QUIET_MS);
  }

  private split(): void {
    const side = this.names.filter(() => this.random.below(2) === 0);
    const other = this.names.filter((name) => !side.includes(name));
    // Verdicts fall one after another: what the first one placed, the next one may have to place again.
    const moves = side.length === 0 || other.length === 0 ? 0 : this.vips.length * 2;
    this.expect(
      `split off ${side.join(" ")}`,
      moves,
      TAKEOVER_MAX_MS,
      () => this.cluster.partition(side),
      QUIET_MS,
    );
    for (const half of [side, other]) {
      if (half.length === 0) continue;
      for (const vip of this.vips) {
        const here = this.cluster.announcers(vip).filter((name) => half.includes(name));
        if (here.length !== 1)
          this.violations.push(`in ${half.join(" ")} ${vip} is announced by ${here.length} members`);
      }
    }
    this.expect(
      "heal the split",
      this.vips.length * 2,
      TAKEOVER_MAX_MS,
      () => this.cluster.network.heal(),
      SETTLE_MS + QUIET_MS,
    );
  }

  private loss(): void {
    const lose = () => {
      this.cluster.network.faults.lossShare = 0.25;
    };
    // Three networks with a quarter lost each: a wrong verdict needs nine losses in a row, and silent
    // witnesses.
    this.expect("lose a quarter", 0, 0, lose, 1_000);
    this.cluster.network.faults.lossShare = 0;
  }

  private drain(): void {
    const name = this.anyone();
    this.expect(`drain ${name}`, this.homesOf([name]), 0, () => this.cluster.drain(name, true), 300);
    this.expect(`undrain ${name}`, this.homesOf([name]), 0, () => this.cluster.drain(name, false), 300);
  }

  private clockJump(): void {
    this.cluster.moveWallClock(this.random.below(2) === 0 ? 3_600_000 : -3_600_000);
    this.killAndRestart();
  }

  /** Does `act`, lets time pass, and checks: moves, gaps, one announcer each, equal views. */
  private expect(what: string, movesMax: number, gapMaxMs: number, act: () => void, thenMs: number): void {
    if (this.violations.length > 0) return;
    this.disturbedAtMs = this.cluster.nowMs;
    this.gapMaxMs = 0;
    for (const vip of this.gapSinceMs.keys()) this.gapSinceMs.set(vip, this.cluster.nowMs);
    this.takeoverMark = this.cluster.takeovers.length;
    act();
    this.cluster.run(thenMs);
    const moves = this.cluster.takeovers.length - this.takeoverMark;
    if (moves > movesMax) this.violations.push(`${what}: ${moves} moves, at most ${movesMax} were intended`);
    if (this.gapMaxMs > gapMaxMs) {
      this.violations.push(
        `${what}: a VIP was without an owner for ${this.gapMaxMs} ms, at most ${gapMaxMs}`,
      );
    }
    if (thenMs >= QUIET_MS && !what.startsWith("split") && !what.startsWith("cut")) this.checkConverged(what);
  }

  /**
   * After every quantum: how long was each VIP announced by nobody, and does anybody take what it may not?
   */
  private watch(): void {
    for (const vip of this.vips) {
      if (this.cluster.announcers(vip).length > 0) this.gapSinceMs.delete(vip);
      else {
        const sinceMs = this.gapSinceMs.get(vip) ?? this.cluster.nowMs - QUANTUM_MS;
        this.gapSinceMs.set(vip, sinceMs);
        this.gapMaxMs = Math.max(this.gapMaxMs, this.cluster.nowMs - sinceMs);
      }
    }
    for (const { by, atMs, vip } of this.cluster.takeovers.slice(this.takeoverMark)) {
      if (atMs < this.cluster.member(by).caughtUpAtMs)
        this.violations.push(`${by} took ${vip} before it had caught up`);
    }
  }

  private checkConverged(what: string): void {
    const alive = this.cluster.alive();
    const present = (name: MemberName) => alive.some(({ configuration }) => configuration.name === name);
    for (const { membership, configuration } of alive) {
      if (membership === undefined) continue;
      for (const member of viewOf(membership, this.cluster.nowMs).members) {
        if (isPresent(member) !== present(member.name)) {
          this.violations.push(
            `${what}: ${configuration.name} believes that ${member.name} is ${member.phase}`,
          );
        }
      }
    }
    for (const vip of this.vips) {
      const announcers = this.cluster.announcers(vip);
      if (announcers.length !== 1)
        this.violations.push(`${what}: ${vip} is announced by ${announcers.join(" and ") || "nobody"}`);
      const home = this.home.get(vip) as MemberName;
      if (present(home) && announcers[0] !== home)
        this.violations.push(`${what}: ${vip} is at ${announcers[0]}, not at ${home}`);
    }
  }

  private kill(name: MemberName): void {
    this.cluster.kill(name);
    this.down.add(name);
  }

  private restart(name: MemberName): void {
    this.cluster.start(name);
    this.down.delete(name);
  }

  private anyone(): MemberName {
    return this.names[this.random.below(this.names.length)] as MemberName;
  }

  private homesOf(names: readonly MemberName[]): number {
    return [...this.home.values()].filter((owner) => names.includes(owner)).length;
  }
}

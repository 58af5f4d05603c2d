// The facade: membership in the probe thread, ownership and duties here.
import { Worker } from "node:worker_threads";
import {
  type Address,
  type Clock,
  HoldfastError,
  type Logger,
  type MemberName,
  type Random,
  silentLogger,
  systemClock,
  systemRandom,
  type VipDuty,
  type VipOwnership,
} from "@holdfast/model";
import {
  CLUSTER_VIP_COUNT_MAX,
  checkMembers,
  checkTiming,
  DEFAULT_TIMING,
  type MemberConfiguration,
  probeKeyOf,
  pulsePeriodMs,
  type Timing,
  YOUNG_GENERATION_MIB,
} from "./configuration.ts";
import { MoveClock, type VipMove } from "./moves.ts";
import { type Assignment, Ownership } from "./ownership/assignment.ts";
import {
  EMPTY_PLACEMENT,
  type Pin,
  type Placement,
  placedVips,
  type ServicePlacement,
} from "./ownership/placement.ts";
import type { Command, Notice, ProbeCounters, Report, ThreadData } from "./probe-thread/messages.ts";
import { SaidReadiness } from "./said-readiness.ts";
import { NO_TENURE, nextTenure, type Tenure } from "./tenure/tenure.ts";
import { type ClusterView, isPresent, type MemberPhase } from "./view.ts";

export interface CoordinatorOptions {
  readonly self: MemberName;
  /** All members, this one included. */
  readonly members: readonly MemberConfiguration[];
  /** The cluster's secret; the key of the probes is derived from it. */
  readonly secret: string | Uint8Array;
  /** Others whose hellos are taken: the cluster changes over. */
  readonly otherSecrets?: readonly string[];
  /** With fewer members present nobody owns a VIP. Default 1: a minority goes on. */
  readonly minimumMembers?: number;
  /** Networks that never carry VIPs. Default: "cluster". */
  readonly clusterNetworks?: readonly string[];
  readonly timing?: Partial<Timing>;
  /** IP TTL of probes, default 1: members share their networks, and a detour over a router must not pass for one. */
  readonly hopLimit?: number;
  readonly clock?: Clock;
  readonly logger?: Logger;
  readonly random?: Random;
  /** Loaded by the probe thread; see SignOfLifeModule. Beaten with every probe while this member may answer for VIPs. */
  readonly signOfLife?: { readonly moduleUrl: string; readonly data: unknown };
  /**
   * Proves who this member is, and who the others are; loaded by the probe thread, see CredentialsModule. Absent: the secret
   * does, and whoever has it can speak for anybody.
   */
  readonly credentials?: { readonly moduleUrl: string; readonly data: unknown };
  /** Runs the probes in place of the thread: a simulation's. */
  readonly prober?: (data: ThreadData) => Prober;
  /** The probe thread ended by a bug of ours. Default: throws, so that the process stops; the data plane goes on. */
  readonly onFatal?: (error: Error) => void;
}

export type CoordinatorEvent = {
  /** Monotonic ms of the coordinator's clock. */
  readonly atMs: number;
  /** For display only. */
  readonly wallMs: number;
} & (
  | {
      readonly kind: "memberPhase";
      readonly member: MemberName;
      readonly from: MemberPhase;
      readonly to: MemberPhase;
      readonly incarnation: number;
      /** Since it was last heard by anybody. On a death: how long detection took. */
      readonly silentMs: number;
    }
  | ({ readonly kind: "vipMoved" } & VipMove)
  /**
   * This member was presumed dead and has refuted that. `displaced`: nobody present said otherwise, so it let go of
   * its VIPs and takes nothing for `settleMs` as long as others can.
   */
  | {
      readonly kind: "accused";
      readonly by: MemberName;
      readonly displaced: boolean;
      readonly settleMs: number;
    }
  /**
   * Another member claimed a VIP that this one owns, and has let go of it (the end of every hand-over, too). It may
   * have answered for it until now: announce the VIP anew.
   */
  | { readonly kind: "vipUncontested"; readonly vip: Address; readonly by: MemberName }
  /** This process was stopped for so long; nothing is announced until `confirmed`. */
  | { readonly kind: "frozen"; readonly forMs: number }
  | { readonly kind: "confirmed" }
  /** A member's hello is not believed: nothing that it says is heard. */
  | { readonly kind: "distrusted"; readonly member: MemberName; readonly reason: string }
);

export interface Readiness {
  /** The daemon can serve: configuration loaded, data plane attached. */
  readonly ready?: boolean;
  /** Holds the sessions that the others hold. */
  readonly caughtUp?: boolean;
  /** All networks that are known; one that is left out counts as having carrier and no router. */
  readonly networks?: readonly {
    readonly network: string;
    readonly carrier: boolean;
    /** A host that is no member answered there within the last `ROUTER_EVIDENCE_MS`. Default: false. */
    readonly routerHeard?: boolean;
  }[];
}

export interface PlacementOptions {
  readonly pins?: readonly Pin[];
  /** Members that the operator drains. */
  readonly drains?: readonly MemberName[];
}

export type DutiesListener = (duties: readonly VipDuty[]) => void | Promise<void>;

export interface Coordinator {
  /** The latest view; figures in it are at most half a second old. */
  view(): ClusterView;
  /** Who should own each VIP and why; `announcer` is who claims it now. */
  vips(): readonly (VipOwnership & { readonly announcer: MemberName | undefined })[];
  /** What this member does now for every VIP. */
  duties(): readonly VipDuty[];
  /**
   * Called with all duties when one changes, one call at a time. What is owned must be announced, and what is not must
   * be withdrawn, when it returns or its promise resolves: only then do the others see the claim and let go.
   */
  onDuties(listener: DutiesListener): void;
  onEvent(listener: (event: CoordinatorEvent) => void): void;
  /** Throws SERVICE_INVALID beyond 1,024 VIPs. */
  setServices(services: readonly ServicePlacement[], options?: PlacementOptions): void;
  setReadiness(readiness: Readiness): void;
  /** VIPs that this member does not serve, since an interface of it has the address. */
  setUnserved(vips: readonly Address[]): void;
  /**
   * All members from now on, this one included; its own addresses stay what they were at the start. Throws CLUSTER_INVALID
   * for a contradictory list, and changes nothing then.
   */
  setMembers(members: readonly MemberConfiguration[]): void;
  /** The replication link to a member closed: its death is looked for at once. */
  hint(member: MemberName): void;
  /** A new certificate and key, as the credentials' module takes them: the keys in use stay valid until new ones are agreed. */
  setCredentials(data: unknown): void;
  /** The cluster's secrets from now on: the first seals hellos, each is taken. Keys in use stay. At least one. */
  setSecrets(secrets: readonly string[]): void;
  /** Whose certificates are not believed any more, as the credentials' module takes it. */
  setRevoked(list: unknown): void;
  /** Hands this member's VIPs over. "alone": nobody else could take what is left. */
  drain(options?: { readonly timeoutMs?: number }): Promise<"drained" | "alone" | "timeout">;
  undrain(): void;
  counters(): ProbeCounters | undefined;
  /** Withdraws everything, says goodbye, stops. Drain first for a hand-over without a gap. */
  leave(): Promise<void>;
  /** Stops without a word, as a crash would. */
  close(): Promise<void>;
}

/** Resolves when the probe thread runs. Throws CLUSTER_INVALID for a contradictory configuration. */
export async function startCoordinator(options: CoordinatorOptions): Promise<Coordinator> {
  checkMembers(options.self, options.members);
  const timing = { ...DEFAULT_TIMING, ...options.timing };
  checkTiming(timing);
  const random = options.random ?? systemRandom();
  const mainPulse = new SharedArrayBuffer(4);
  const data: ThreadData = {
    self: options.self,
    members: options.members,
    timing,
    key: probeKeyOf(options.secret),
    otherKeys: (options.otherSecrets ?? []).map(probeKeyOf),
    boot: random.uint32() * 2 ** 16 + random.below(2 ** 16) || 1,
    // Later starts have higher ones; a clock that moved back is corrected by the others. Ten random bits keep two
    // starts in one millisecond apart.
    incarnation: Math.floor((options.clock ?? systemClock).wallMs()) * 1024 + random.below(1024),
    hopLimit: options.hopLimit ?? 1,
    mainPulse,
    credentials: options.credentials,
    signOfLife: options.signOfLife,
  };
  const coordinator = new RunningCoordinator(
    options,
    (options.prober ?? startProbeThread)(data),
    new Int32Array(mainPulse),
  );
  await coordinator.started;
  return coordinator;
}

/** The probe thread as the facade sees it. */
export interface Prober {
  command(command: Command): void;
  /** Called once. `failed`: it ended by itself. */
  listen(listeners: { report(report: Report): void; failed(error: Error): void }): void;
  /** Ends what is left of it; it has said "closed" before. */
  end(): Promise<unknown>;
}

function startProbeThread(data: ThreadData): Prober {
  const worker = new Worker(new URL("./probe-thread/thread.ts", import.meta.url), {
    workerData: data,
    name: "probe",
    resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
  });
  return {
    command: (command) => worker.postMessage(command),
    listen({ report, failed }) {
      worker.on("message", report);
      worker.on("error", failed);
      worker.on("exit", (code) => failed(new Error(`the probe thread ended with code ${code}`)));
    },
    end: () => worker.terminate(),
  };
}

class RunningCoordinator implements Coordinator {
  readonly started: Promise<void>;
  private readonly clock: Clock;
  private readonly logger: Logger;
  private readonly prober: Prober;
  private readonly pulse: { cancel(): void };
  private readonly moves = new MoveClock();
  private readonly dutiesListeners: DutiesListener[] = [];
  private readonly eventListeners: ((event: CoordinatorEvent) => void)[] = [];
  private readonly closed: Promise<void>;
  private placement: Placement;
  private ownership: Ownership;
  private current: ClusterView;
  private assignment: Assignment = { vips: new Map(), refused: undefined };
  private tenure: Tenure = NO_TENURE;
  private announced: Tenure = NO_TENURE;
  private currentDuties: readonly VipDuty[] = [];
  private epoch = 0;
  private applying = false;
  private applyAgain = false;
  private ending = false;
  private readonly saidReadiness = new SaidReadiness();
  private latestCounters: ProbeCounters | undefined;
  private unserved: readonly Address[] = [];
  private drainWaiters: (() => void)[] = [];
  /** VIPs that we announce and another present member claims. */
  private contested = new Map<Address, MemberName>();

  constructor(options: CoordinatorOptions, prober: Prober, mainPulse: Int32Array) {
    this.clock = options.clock ?? systemClock;
    this.logger = (options.logger ?? silentLogger).child({ component: "coordinator" });
    this.prober = prober;
    this.placement = {
      ...EMPTY_PLACEMENT,
      minimumMembers: options.minimumMembers ?? EMPTY_PLACEMENT.minimumMembers,
      clusterNetworks: options.clusterNetworks ?? EMPTY_PLACEMENT.clusterNetworks,
    };
    this.ownership = new Ownership(this.placement);
    this.current = { self: options.self, members: [], unheardNetworks: [], confirmed: true };
    Atomics.add(mainPulse, 0, 1);
    this.pulse = this.clock.every(pulsePeriodMs(options.timing), () => void Atomics.add(mainPulse, 0, 1));
    const fatal =
      options.onFatal ??
      ((error: Error) => {
        throw error;
      });
    let settle: () => void = () => {};
    this.closed = new Promise((resolve) => {
      settle = resolve;
    });
    this.started = new Promise((resolve, reject) => {
      prober.listen({
        report: (report) => {
          if (report.kind === "closed") settle();
          else if (report.kind === "warning") this.logger.warn(report.fields, report.told);
          else {
            this.receive(report);
            resolve();
          }
        },
        failed: (error) => {
          settle();
          reject(error);
          if (!this.ending) fatal(error);
        },
      });
    });
    // A failure after the start goes to `fatal` alone.
    this.started.catch(() => {});
  }

  view(): ClusterView {
    return this.current;
  }

  vips() {
    return this.ownership.explain(this.current, this.assignment).map((ownership) => ({
      ...ownership,
      announcer: this.moves.announcerOf(ownership.vip),
    }));
  }

  duties(): readonly VipDuty[] {
    return this.currentDuties;
  }

  onDuties(listener: DutiesListener): void {
    this.dutiesListeners.push(listener);
    if (this.currentDuties.length > 0) void this.apply();
  }

  onEvent(listener: (event: CoordinatorEvent) => void): void {
    this.eventListeners.push(listener);
  }

  setServices(services: readonly ServicePlacement[], options: PlacementOptions = {}): void {
    const placement: Placement = {
      ...this.placement,
      services,
      pins: options.pins ?? [],
      drains: options.drains ?? [],
    };
    const count = placedVips(placement).length;
    if (count > CLUSTER_VIP_COUNT_MAX) {
      throw new HoldfastError("SERVICE_INVALID", {
        reason: `the cluster would have ${count} VIPs, and ${CLUSTER_VIP_COUNT_MAX} is the most`,
      });
    }
    this.placement = placement;
    this.ownership = new Ownership(placement);
    this.decide(false);
  }

  setReadiness(readiness: Readiness): void {
    const facts = this.saidReadiness.next(readiness);
    if (facts !== undefined) this.command({ kind: "facts", ...facts });
  }

  setCredentials(data: unknown): void {
    this.command({ kind: "credentials", data });
  }

  setSecrets(secrets: readonly string[]): void {
    if (secrets.length > 0) this.command({ kind: "keys", keys: secrets.map(probeKeyOf) });
  }

  setRevoked(list: unknown): void {
    this.command({ kind: "revoked", list });
  }

  setMembers(members: readonly MemberConfiguration[]): void {
    checkMembers(this.current.self, members);
    this.command({ kind: "members", members });
  }

  setUnserved(vips: readonly Address[]): void {
    this.unserved = vips;
    this.command({ kind: "facts", unserved: vips });
    // Own knowledge does not wait for the probe thread to say it back.
    this.current = this.withUnserved(this.current);
    this.decide(false);
  }

  private withUnserved(view: ClusterView): ClusterView {
    const { unserved } = this;
    const members = view.members.map((member) => (member.isSelf ? { ...member, unserved } : member));
    return { ...view, members };
  }

  hint(member: MemberName): void {
    this.command({ kind: "hint", member });
  }

  async drain(options: { readonly timeoutMs?: number } = {}): Promise<"drained" | "alone" | "timeout"> {
    this.command({ kind: "facts", draining: true });
    const limitMs = this.clock.nowMs() + (options.timeoutMs ?? 5_000);
    for (;;) {
      if (this.current.members.some(({ isSelf, draining }) => isSelf && draining)) {
        if (this.announced.owned.size === 0 && this.tenure.owned.size === 0) return "drained";
        const helpless = [...this.tenure.owned].every(
          (vip) => (this.assignment.vips.get(vip)?.owner ?? this.current.self) === this.current.self,
        );
        if (helpless) return "alone";
      }
      const leftMs = limitMs - this.clock.nowMs();
      if (leftMs <= 0) return "timeout";
      await new Promise<void>((resolve) => {
        const timer = this.clock.after(leftMs, resolve);
        this.drainWaiters.push(() => {
          timer.cancel();
          resolve();
        });
      });
    }
  }

  undrain(): void {
    this.command({ kind: "facts", draining: false });
  }

  counters(): ProbeCounters | undefined {
    return this.latestCounters;
  }

  async leave(): Promise<void> {
    this.ending = true;
    this.tenure = NO_TENURE;
    await this.apply();
    this.command({ kind: "leave" });
    await this.end();
  }

  async close(): Promise<void> {
    this.ending = true;
    this.command({ kind: "close" });
    await this.end();
  }

  private async end(): Promise<void> {
    await this.closed;
    this.pulse.cancel();
    await this.prober.end();
  }

  private command(command: Command): void {
    this.prober.command(command);
  }

  private receive(report: Report & { kind: "view" }): void {
    this.current = this.unserved.length === 0 ? report.view : this.withUnserved(report.view);
    this.epoch = report.epoch;
    this.latestCounters = report.counters;
    for (const notice of report.notices) this.notify(notice);
    this.decide(report.notices.some((notice) => notice.kind === "accused" && notice.displaced));
  }

  private notify(notice: Notice): void {
    if (notice.kind === "phase") {
      const { kind: _, ...rest } = notice;
      this.logger.info({ ...rest }, `member ${notice.member} is ${notice.to}`);
      this.emit({ kind: "memberPhase", ...rest });
      return;
    }
    const told = notice.kind === "accused" ? "this member was presumed dead" : notice.kind;
    const distrusted =
      notice.kind === "distrusted" && `member ${notice.member} is not believed: ${notice.reason}`;
    this.logger.warn({ ...notice }, distrusted || told);
    this.emit(notice);
  }

  private emit(event: DistributiveOmit<CoordinatorEvent, "atMs" | "wallMs">): void {
    const stamped = { ...event, atMs: this.clock.nowMs(), wallMs: this.clock.wallMs() } as CoordinatorEvent;
    for (const listener of this.eventListeners) listener(stamped);
  }

  /** View or placement changed: what follows for this member? */
  private decide(displaced: boolean): void {
    if (this.ending || this.current.members.length === 0) return;
    const before = this.assignment?.refused;
    this.assignment = this.ownership.assign(this.current);
    if (this.assignment.refused !== before) this.tellRefusal(this.assignment.refused);
    this.tenure = nextTenure(this.tenure, this.assignment, this.current, displaced);
    this.observeMoves();
    this.observeContests();
    void this.apply();
  }

  private tellRefusal(refused: string | undefined): void {
    if (refused === undefined)
      this.logger.info({}, "enough members are present again: VIPs move as they should");
    else
      this.logger.error(
        { remedy: "Bring the other members back, or lower coordinator.minimumMembers and restart this one." },
        `too few members for a VIP that its owner has left: ${refused}. What a member announces it keeps.`,
      );
  }

  private observeContests(): void {
    const contested = new Map<Address, MemberName>();
    for (const member of this.current.members) {
      if (member.isSelf || !isPresent(member)) continue;
      for (const { vip } of member.claims) if (this.announced.owned.has(vip)) contested.set(vip, member.name);
    }
    const before = this.contested;
    this.contested = contested;
    for (const [vip, by] of before) {
      if (!contested.has(vip) && this.announced.owned.has(vip))
        this.emit({ kind: "vipUncontested", vip, by });
    }
  }

  private observeMoves(): void {
    for (const move of this.moves.observe(this.current, this.announced.claims, this.clock.nowMs())) {
      this.logger.info({ ...move }, `VIP ${move.vip} moved`);
      this.emit({ kind: "vipMoved", ...move });
    }
  }

  /** Makes the tenure true through the listeners, then claims it. One at a time; the latest wins. */
  private async apply(): Promise<void> {
    if (this.applying) {
      this.applyAgain = true;
      return;
    }
    this.applying = true;
    try {
      do {
        this.applyAgain = false;
        const { tenure, epoch } = this;
        const duties = dutiesOf(this.assignment, tenure, this.current.self);
        if (!sameDuties(duties, this.currentDuties)) {
          this.currentDuties = duties;
          for (const listener of this.dutiesListeners) await listener(duties);
        }
        if (tenure !== this.announced) {
          this.announced = tenure;
          this.command({ kind: "facts", claims: tenure.claims });
          this.observeMoves();
          this.observeContests();
        }
        this.command({ kind: "applied", epoch });
      } while (this.applyAgain);
    } finally {
      this.applying = false;
      const waiters = this.drainWaiters;
      this.drainWaiters = [];
      for (const wake of waiters) wake();
    }
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

function dutiesOf(assignment: Assignment, tenure: Tenure, self: MemberName): VipDuty[] {
  return [...assignment.vips].map(
    ([vip, { candidates }]: [Address, { candidates: readonly { member: MemberName }[] }]) => ({
      vip,
      owned: tenure.owned.has(vip),
      rank: tenure.owned.has(vip)
        ? 0
        : rankBehindOwner(candidates.findIndex(({ member }) => member === self)),
      successor: candidates.find(({ member }) => member !== self)?.member,
    }),
  );
}

/** Who should own it but does not yet (the owner lets go in a moment) stands right behind the owner. */
function rankBehindOwner(place: number): number | undefined {
  return place < 0 ? undefined : Math.max(place, 1);
}

function sameDuties(a: readonly VipDuty[], b: readonly VipDuty[]): boolean {
  return (
    a.length === b.length &&
    a.every((duty, index) => {
      const other = b[index];
      return (
        duty.vip === other?.vip &&
        duty.owned === other.owned &&
        duty.rank === other.rank &&
        duty.successor === other.successor
      );
    })
  );
}

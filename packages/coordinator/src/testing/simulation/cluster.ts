// A whole cluster in one process, on simulated time: the same membership, ownership and tenure as in
// production, with the probe thread, the sockets and the announcer replaced. From one seed, always the same
// run.
import { type Address, type MemberName, type Random, seededRandom } from "@holdfast/model";
import { DEFAULT_TIMING, type MemberConfiguration, networkIdOf, type Timing } from "../../configuration.ts";
import { createMembership, type Membership, type MembershipEvent, viewOf } from "../../membership/state.ts";
import { step } from "../../membership/step.ts";
import { type Assignment, Ownership } from "../../ownership/assignment.ts";
import type { Placement } from "../../ownership/placement.ts";
import { NO_TENURE, nextTenure, type Tenure } from "../../tenure/tenure.ts";
import { type ClusterView, isPresent } from "../../view.ts";
import type { Message } from "../../wire/message.ts";
import { SimulatedNetwork, TimedQueue } from "./network.ts";

/** Simulated time advances by this much; members tick on it. */
export const QUANTUM_MS = 5;

/** Faults that a correct cluster does not have; each must be caught by an invariant. */
export type SeededFault =
  | "ignoresCatchUp"
  | "breaksBeforeMake"
  | "neverDeclaresDeath"
  | "answersBlindly"
  | "keepsWhatItLost"
  | "neverRefutes"
  | "judgesOnOneNetwork"
  | "hashesByView";

export interface SimulatedMember {
  readonly configuration: MemberConfiguration;
  membership: Membership | undefined;
  readonly ownership: Ownership;
  tenure: Tenure;
  /** Stopped by SIGSTOP: nothing runs, datagrams wait. */
  frozen: boolean;
  readonly inbox: { readonly message: Message; readonly network: number }[];
  /** When its sessions are complete after a start. */
  caughtUpAtMs: number;
  dirty: boolean;
}

export interface SimulationOptions {
  readonly seed: number;
  readonly members: readonly MemberConfiguration[];
  readonly placement: Placement;
  readonly timing?: Partial<Timing>;
  /** How long a started member takes to catch up. */
  readonly catchUpMs?: number;
  readonly fault?: SeededFault;
}

export interface Takeover {
  readonly vip: Address;
  readonly atMs: number;
  readonly by: MemberName;
}

export class SimulatedCluster {
  nowMs = 1_000;
  readonly random: Random;
  readonly network: SimulatedNetwork;
  readonly members = new Map<MemberName, SimulatedMember>();
  /** Every beginning of a tenure. */
  readonly takeovers: Takeover[] = [];
  readonly placement: Placement;
  private readonly queue = new TimedQueue<{ message: Message; network: number }>();
  private readonly byNumber = new Map<number, SimulatedMember>();
  private readonly timing: Timing;
  private readonly options: SimulationOptions;
  private readonly observers: (() => void)[] = [];
  private wallMs = 1_800_000_000_000;

  constructor(options: SimulationOptions) {
    this.options = options;
    this.placement = options.placement;
    this.timing = {
      ...DEFAULT_TIMING,
      ...options.timing,
      ...(options.fault === "neverDeclaresDeath" ? { missedProbesMax: 100_000 } : {}),
    };
    this.random = seededRandom(options.seed);
    this.network = new SimulatedNetwork(seededRandom(this.random.uint32()));
    // The lists are a pure function of the configuration, so one memory of them serves all members.
    const ownership = new Ownership(options.placement);
    for (const configuration of options.members) {
      const member: SimulatedMember = {
        configuration,
        membership: undefined,
        ownership,
        tenure: NO_TENURE,
        frozen: false,
        inbox: [],
        caughtUpAtMs: 0,
        dirty: false,
      };
      this.members.set(configuration.name, member);
      this.byNumber.set(configuration.number, member);
    }
  }

  /** Called after every quantum. */
  observe(observer: () => void): void {
    this.observers.push(observer);
  }

  start(name: MemberName): void {
    const member = this.member(name);
    member.membership = createMembership({
      self: name,
      members: this.options.members,
      timing: this.timing,
      boot: this.random.uint32() + 1,
      incarnation: (this.wallMs + Math.floor(this.nowMs)) * 1024 + this.random.below(1024),
      nowMs: this.nowMs + this.random.below(50),
    });
    member.tenure = NO_TENURE;
    member.caughtUpAtMs = this.nowMs + (this.options.catchUpMs ?? 0);
    member.inbox.length = 0;
    this.advance(member, {
      kind: "facts",
      facts: { ready: true, caughtUp: member.caughtUpAtMs <= this.nowMs },
    });
    if (this.options.fault === "ignoresCatchUp")
      this.advance(member, { kind: "facts", facts: { caughtUp: true } });
  }

  startAll(): void {
    for (const name of this.members.keys()) this.start(name);
  }

  /** kill -9, or the machine is gone. */
  kill(name: MemberName): void {
    const member = this.member(name);
    member.membership = undefined;
    member.tenure = NO_TENURE;
    member.frozen = false;
  }

  freeze(name: MemberName): void {
    this.member(name).frozen = true;
  }

  thaw(name: MemberName): void {
    const member = this.member(name);
    member.frozen = false;
    // What waited in the socket is read before or after the first tick.
    const waiting = member.inbox.splice(0);
    if (this.random.below(2) === 0) this.advance(member, { kind: "tick" });
    for (const { message, network } of waiting) this.advance(member, { kind: "message", message, network });
  }

  drain(name: MemberName, draining: boolean): void {
    this.advance(this.member(name), { kind: "facts", facts: { draining } });
  }

  setCarrier(name: MemberName, network: string, carrier: boolean): void {
    this.advance(this.member(name), {
      kind: "facts",
      facts: { networks: new Map([[network, { carrier, routerHeard: false }]]) },
    });
  }

  /** The wall clock of everybody moves; nothing may notice. */
  moveWallClock(byMs: number): void {
    this.wallMs += byMs;
  }

  /** Cuts every datagram between the two sides, on the named networks or on all. */
  partition(side: readonly MemberName[], networks?: readonly string[]): void {
    const inside = new Set(side);
    for (const a of this.members.values()) {
      for (const b of this.members.values()) {
        if (inside.has(a.configuration.name) === inside.has(b.configuration.name)) continue;
        for (const { network } of a.configuration.addresses) {
          if (networks !== undefined && !networks.includes(network)) continue;
          this.network.cut(networkIdOf(network), a.configuration.number, b.configuration.number);
        }
      }
    }
  }

  run(forMs: number): void {
    const endMs = this.nowMs + forMs;
    while (this.nowMs < endMs) {
      this.nowMs += QUANTUM_MS;
      this.deliver();
      for (const member of this.members.values()) {
        if (member.membership === undefined || member.frozen) continue;
        if (this.nowMs >= member.caughtUpAtMs && !member.membership.facts.caughtUp) {
          this.advance(member, { kind: "facts", facts: { caughtUp: true } });
        }
        this.advance(member, { kind: "tick" });
      }
      for (const member of this.members.values())
        if (member.dirty && !member.frozen) this.decide(member, false);
      for (const observer of this.observers) observer();
    }
  }

  /** Who announces this VIP now. */
  announcers(vip: Address): MemberName[] {
    const names: MemberName[] = [];
    for (const [name, member] of this.members) {
      // A frozen member's sign of life is stale: its data plane answers for nothing.
      if (member.membership !== undefined && !member.frozen && member.tenure.owned.has(vip)) names.push(name);
    }
    return names;
  }

  alive(): SimulatedMember[] {
    return [...this.members.values()].filter(({ membership, frozen }) => membership !== undefined && !frozen);
  }

  member(name: MemberName): SimulatedMember {
    const member = this.members.get(name);
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }

  private deliver(): void {
    for (;;) {
      const due = this.queue.pop(this.nowMs);
      if (due === undefined) return;
      const { message, network } = due.item;
      const member = this.byNumber.get(message.to);
      if (member?.membership === undefined) continue;
      if (member.frozen) {
        if (member.inbox.length < 256) member.inbox.push(due.item);
      } else this.advance(member, { kind: "message", message, network });
    }
  }

  private advance(member: SimulatedMember, original: MembershipEvent): void {
    if (member.membership === undefined) return;
    const event = this.spoil(original);
    let displaced = false;
    for (const effect of step(member.membership, event, this.nowMs)) {
      if (effect.kind === "send") this.send(member, effect.message);
      else if (effect.kind === "changed") member.dirty = true;
      else if (effect.kind === "accused") displaced ||= effect.displaced;
    }
    if (displaced) this.decide(member, true);
  }

  /** What a faulty membership would make of an event. */
  private spoil(event: MembershipEvent): MembershipEvent {
    if (event.kind !== "message") return event;
    const { fault } = this.options;
    if (fault === "neverRefutes" && event.message.kind === "probe" && event.message.opinion === "dead") {
      return { ...event, message: { ...event.message, opinion: "unknown" } };
    }
    if (fault === "answersBlindly" && event.message.kind === "answer") {
      const ages = event.message.ages.map((age) => ({ ...age, ageMs: 0 }));
      return { ...event, message: { ...event.message, ages } };
    }
    return event;
  }

  private send(member: SimulatedMember, message: Message): void {
    for (const { network } of member.configuration.addresses) {
      if (
        this.options.fault === "judgesOnOneNetwork" &&
        network !== member.configuration.addresses[0]?.network
      )
        continue;
      const id = networkIdOf(network);
      const delayMs = this.network.carry(id, message);
      if (delayMs !== undefined) this.queue.push(this.nowMs + delayMs, { message, network: id });
    }
  }

  private assign(member: SimulatedMember, view: ClusterView): Assignment {
    if (this.options.fault !== "hashesByView") return member.ownership.assign(view);
    return new Ownership(this.placement).assign({ ...view, members: view.members.filter(isPresent) });
  }

  private tenureOf(before: Tenure, assignment: Assignment, view: ClusterView, displaced: boolean): Tenure {
    const { fault } = this.options;
    const tenure = nextTenure(before, assignment, view, displaced);
    if (fault === "breaksBeforeMake") {
      const rightful = (vip: Address) => assignment.vips.get(vip)?.owner === view.self;
      return {
        owned: new Set([...tenure.owned].filter(rightful)),
        claims: tenure.claims.filter(({ vip }) => rightful(vip)),
      };
    }
    if (fault === "keepsWhatItLost") {
      const lost = before.claims.filter(({ vip }) => !tenure.owned.has(vip));
      if (lost.length === 0) return tenure;
      return {
        owned: new Set([...tenure.owned, ...lost.map(({ vip }) => vip)]),
        claims: [...tenure.claims, ...lost],
      };
    }
    return tenure;
  }

  private decide(member: SimulatedMember, displaced: boolean): void {
    const { membership } = member;
    if (membership === undefined) return;
    member.dirty = false;
    const view = viewOf(membership, this.nowMs);
    const before = member.tenure;
    const assignment = this.assign(member, view);
    member.tenure = this.tenureOf(before, assignment, view, displaced);
    if (member.tenure === before) return;
    for (const vip of member.tenure.owned) {
      if (!before.owned.has(vip))
        this.takeovers.push({ vip, atMs: this.nowMs, by: member.configuration.name });
    }
    this.advance(member, { kind: "facts", facts: { claims: member.tenure.claims } });
  }
}

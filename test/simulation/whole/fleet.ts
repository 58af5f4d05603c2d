// The machines' daemons: they start, die, stand still and return as another version; and what a death may
// take with it.
import { type Address, generationOf, isCrowded, type Random, seededRandom } from "@holdfast/model";
import { type JournalFactory, LIST_VOTES, type MemoryNetwork } from "@holdfast/sync/testing";
import { SimulatedClock, type SimulatedTime } from "../clock.ts";
import { configurationOf } from "./configuration.ts";
import type { WholeFault } from "./faults.ts";
import type { Instance, Ledger } from "./ledger.ts";
import { Life } from "./life.ts";
import { Machine } from "./machine.ts";
import { machinesOf, type Schedule } from "./schedule.ts";
import type { Troubles } from "./troubles.ts";
import { Greetings, VERSIONS } from "./versions.ts";
import type { Wire } from "./wire.ts";

/** A member that dies takes nothing with it that it has had for so long, while the others can be reached. */
const REPLICATION_MS = 300;
/** A daemon that is just starting is upgraded so much later. */
const RETRY_MS = 100;
/** … and what it has had for so long is on its disk, however slow. */
const DISK_MS = 1_200;

export interface FleetPorts {
  readonly time: SimulatedTime;
  readonly random: Random;
  readonly wire: Wire;
  readonly macs: Map<Address, number>;
  readonly links: MemoryNetwork;
  readonly ledger: Ledger;
  readonly troubles: Troubles;
  readonly schedule: Schedule;
  readonly fault: WholeFault | undefined;
  readonly journals: JournalFactory;
  readonly tell: (what: string) => void;
  readonly count: (name: string) => void;
  /** Nothing of one member's links to another arrives; reasons add up. */
  readonly stall: (from: number, to: number, isStalled: boolean) => void;
}

export class Fleet {
  readonly machines: readonly Machine[];
  readonly #ports: FleetPorts;
  readonly #greetings = new Greetings();
  readonly #origins: number[];
  readonly #wallOffsets: number[];
  readonly #versions: number[];
  readonly #lives: number[];
  readonly #frozen = new Set<number>();
  /** Who waits for a machine that stops in order. */
  readonly #stopping = new Map<Machine, (() => void)[]>();

  constructor(ports: FleetPorts) {
    this.#ports = ports;
    const { random, schedule, fault, time, wire, macs } = ports;
    const specs = machinesOf(schedule);
    this.#origins = specs.map(() => random.below(1_000_000));
    this.#wallOffsets = specs.map(() => 0);
    this.#versions = specs.map(({ version }) => version);
    this.#lives = specs.map(() => 0);
    this.machines = specs.map(
      ({ index, name, number }) =>
        new Machine({
          index,
          name,
          number,
          wire,
          macs,
          nowMs: () => time.nowMs + (this.#origins[index] as number),
          outgoing: (packet, machine) => {
            const view = machine.life?.view;
            return view === undefined ? packet : (fault?.outgoing?.(packet, { number, view }) ?? packet);
          },
          incoming: (packet, machine) => {
            const view = machine.life?.view;
            return view === undefined ? packet : (fault?.incoming?.(packet, { number, view }) ?? packet);
          },
        }),
    );
  }

  start(machine: Machine): void {
    const { schedule, links, journals, fault, ledger, time, count } = this.#ports;
    const { index } = machine;
    machine.isOn = true;
    machine.wasOn = true;
    const first = machinesOf(schedule).slice(0, schedule.memberCount);
    const listed = index < schedule.memberCount ? first : [];
    machine.isJoining = listed.length === 0;
    const life = new Life({
      machine,
      configuration: configurationOf(machine, listed, machine.endpointsInFile),
      version: VERSIONS[this.#versions[index] as number] as (typeof VERSIONS)[number],
      disk: machine.disk,
      links,
      greetings: this.#greetings,
      journals,
      random: seededRandom(schedule.seed * 64 + index * 7 + 131 * (this.#lives[index] as number)),
      fault,
      clock: () => new SimulatedClock(time, this.#origins[index], this.#wallOffsets[index]),
      took: (vip, caughtUp) => this.#took(machine, vip, caughtUp),
      stood: (detail) => this.#stood(machine, detail),
    });
    this.#lives[index] = (this.#lives[index] as number) + 1;
    machine.life = life;
    count("starts");
    void life.start().catch((error: unknown) => {
      ledger.violate(`${machine.name} does not start: ${String(error)}`);
    });
  }

  /** Whatever is, or was, on and has not gone for good; in the beginning: the members of the files. */
  startAll(): void {
    for (const machine of this.machines) {
      const isDue = machine.index < this.#ports.schedule.memberCount || machine.wasOn;
      if (machine.life === undefined && isDue && !machine.isGone) this.start(machine);
    }
  }

  /**
   * The machine dies, and never runs again. false: not now, as what only it knew would be lost by right, or
   * the others could not take it off the list.
   */
  bury(machine: Machine): boolean {
    const others = this.members.filter((other) => other !== machine);
    const isSafe = this.#ports.troubles.quietMs >= REPLICATION_MS && others.length >= 2;
    if (!this.#isMajority(others)) return false;
    if (machine.life?.isMember !== true || !isSafe) return false;
    this.kill(machine, "machine", "lost", 0);
    machine.isGone = true;
    return true;
  }

  /** Of the list, as whoever of them knows the longest has it. */
  #isMajority(members: readonly Machine[]): boolean {
    const listed = members.map(({ life }) => life?.members?.current().members.length ?? 0);
    return 2 * members.length > Math.max(0, ...listed);
  }

  /** Taken out of the list: it stops in order, and never runs again. */
  async dismiss(machine: Machine): Promise<void> {
    const { life } = machine;
    machine.isGone = true;
    this.#excuse(machine, "lost");
    if (life !== undefined) await this.#stop(machine);
    if (machine.life !== undefined && machine.life !== life) return;
    machine.life = undefined;
    machine.forgetDaemon();
    machine.isOn = false;
    machine.fastPath.wipe();
  }

  /** Its version can change the list of members. */
  knowsLists({ index }: Machine): boolean {
    return VERSIONS[this.#versions[index] as number]?.capabilities?.includes(LIST_VOTES) === true;
  }

  /** Who takes part, as far as they know. */
  get members(): Machine[] {
    return this.machines.filter(({ life }) => life?.isMember === true);
  }

  kill(machine: Machine, what: "daemon" | "machine", disk: "kept" | "lost", forMs: number): void {
    const { random, troubles, count } = this.#ports;
    const { life } = machine;
    if (life === undefined) return;
    this.#excuse(machine, disk);
    count(`kills.${what}`);
    machine.life = undefined;
    life.crash();
    this.#stopped(machine);
    machine.forgetDaemon();
    machine.disk.crash(disk);
    if (what === "machine") {
      machine.isOn = false;
      machine.fastPath.wipe();
      this.#origins[machine.index] = random.below(1_000_000);
    }
    troubles.begin(`${machine.name}: its ${what} dies, disk ${disk}`, forMs, [machine], () => {
      if (machine.life === undefined && !machine.isGone) this.start(machine);
    });
  }

  /**
   * One of several. Two losses at once lose data by right; so does one while the others cannot be reached. A
   * member without its disk has forgotten its votes, and is told of the list by a majority, if only by members
   * that its file does not know.
   */
  killOne(machine: Machine, what: "daemon" | "machine", disk: "kept" | "lost", forMs: number): void {
    if (machine.life === undefined) return;
    const others = this.members.filter((other) => other !== machine);
    const isSafe = this.#ports.troubles.quietMs >= REPLICATION_MS && this.#isMajority(others);
    if (this.machines.filter(({ life }) => life !== undefined).length < 2) return;
    if (machine.life.isMember && this.members.length < 2) return;
    this.kill(machine, what, isSafe ? disk : "kept", forMs);
  }

  freeze(machine: Machine, what: "all" | "main", forMs: number): void {
    const { life, number, index } = machine;
    if (life === undefined || this.#frozen.has(index)) return;
    const stall = (isStalled: boolean) => {
      if (what === "all")
        for (const other of this.machines)
          if (other !== machine) this.#ports.stall(other.number, number, isStalled);
    };
    this.#frozen.add(index);
    life.freeze(what);
    stall(true);
    this.#ports.troubles.begin(`${machine.name} stands still (${what})`, forMs, [machine], () => {
      this.#frozen.delete(index);
      stall(false);
      life.thaw();
    });
  }

  /** The wall clock. */
  jump(machine: Machine, byMs: number): void {
    this.#ports.tell(`the clock of ${machine.name} jumps by ${byMs} ms`);
    this.#wallOffsets[machine.index] = (this.#wallOffsets[machine.index] as number) + byMs;
    machine.life?.jump(byMs);
  }

  upgrade(machine: Machine, version: number): void {
    const { troubles, tell, count, time } = this.#ports;
    const { life, index } = machine;
    if (machine.isGone) return;
    if (life?.isComposed === false) {
      time.at(time.nowMs + RETRY_MS, () => this.upgrade(machine, version));
      return;
    }
    this.#versions[index] = version;
    count("upgrades");
    // Whoever is down comes back as it.
    if (life === undefined) {
      tell(`${machine.name} will return as version ${version}`);
      return;
    }
    tell(`${machine.name} stops, to return as version ${version}`);
    const over = troubles.absence(machine);
    void this.#stop(machine).then(() => {
      over();
      if (machine.life !== life || machine.isGone) return;
      machine.forgetDaemon();
      tell(`${machine.name} starts as version ${version}`);
      this.start(machine);
    });
  }

  /** In order; resolves as well when it is killed meanwhile, and never gets there. */
  #stop(machine: Machine): Promise<void> {
    return new Promise((resolve) => {
      this.#stopping.set(machine, [...(this.#stopping.get(machine) ?? []), resolve]);
      void machine.life?.stop().then(() => this.#stopped(machine));
    });
  }

  #stopped(machine: Machine): void {
    for (const resolve of this.#stopping.get(machine) ?? []) resolve();
    this.#stopping.delete(machine);
  }

  #stood(machine: Machine, detail: string): void {
    this.#ports.tell(`${machine.name}: ${detail}`);
    if (!machine.isJoining && waitsForList(machine)) this.#ports.count("lists.old");
  }

  /** A returning member takes nothing from one that is well before it has caught up. */
  #took(machine: Machine, vip: Address, caughtUp: boolean): void {
    const { ledger, troubles, tell, count } = this.#ports;
    tell(`${machine.name} owns ${vip}`);
    if (machine.life?.keeper?.isMember === false)
      ledger.violate(`${machine.name} takes ${vip}, and is not one of the cluster`);
    count("takeovers");
    if (caughtUp) return;
    const well = this.machines.find(
      (other) =>
        other !== machine && other.fastPath.isAlive && other.fastPath.owns(vip) && !troubles.isDoubted(other),
    );
    if (well !== undefined)
      ledger.violate(`${machine.name} took ${vip} from ${well.name} before it had caught up`);
  }

  /** What only the dying member knew, when nobody could be told, is nobody's fault. */
  #excuse(victim: Machine, disk: "kept" | "lost"): void {
    const { time, ledger, troubles } = this.#ports;
    const others = this.machines.filter(
      (each) => each !== victim && each.life !== undefined && !isOutside(each),
    );
    const wasQuiet = troubles.quietMs >= REPLICATION_MS;
    for (const instance of ledger.instances) {
      if (instance.state === "over" || instance.excused !== undefined) continue;
      const holders = others.filter(({ life }) => holds(life, instance));
      if (holders.length > 0) continue;
      // From the INIT-ACK on, no single death loses a handshake; before it, the INIT is simply sent again.
      if (wasQuiet && others.length > 0 && !others.some(({ life }) => isForgedAt(life, instance, ledger)))
        continue;
      const isOld = instance.state === "alive" && time.nowMs - instance.aliveSinceMs >= DISK_MS;
      if (others.length === 0 && disk === "kept" && isOld) continue;
      instance.excused = `${victim.name} alone knew of it`;
    }
  }
}

/** It runs, and knows that it is not on the list: nobody counts on what it knows. */
function isOutside(machine: Machine): boolean {
  return (machine.isJoining && machine.life?.keeper?.isMember !== true) || waitsForList(machine);
}

function waitsForList({ life }: Machine): boolean {
  return (life?.keeper?.join.length ?? 0) > 0;
}

/**
 * A restart of a session that is crowded with forged ones: they came from the client's own address. The client's INIT-ACK is
 * replicated only once its cookie is back (docs/limits.md).
 */
function isForgedAt(life: Life | undefined, instance: Instance, ledger: Ledger): boolean {
  if (instance.state !== "opening") return false;
  for (const record of life?.view.values() ?? []) {
    if (record.serviceId !== instance.service.id) continue;
    const isOfClient = [...record.generations.keys(), record.commit?.clientTag ?? 0].some(
      (tag) => ledger.byTag(tag)?.client === instance.client,
    );
    if (isOfClient && isCrowded(record)) return true;
  }
  return false;
}

/** Its generation, with the INIT-ACK that the client took. */
function holds(life: Life | undefined, { clientTag, endpointTag }: Instance): boolean {
  for (const record of life?.view.values() ?? []) {
    const generation = generationOf(record, clientTag);
    if (generation === undefined) continue;
    if (endpointTag === 0) return true;
    for (const candidate of generation.candidates.values())
      if (candidate.endpointTag === endpointTag) return true;
  }
  return false;
}

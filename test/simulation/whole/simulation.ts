// One seed of a whole cluster: machines with daemons, clients and endpoints on one wire; the schedule happens; then
// peace, and the checks.
import { type Address, generationOf, isLiving, seededRandom } from "../../../packages/model/src/index.ts";
import {
  CHUNK,
  encodeAbort,
  encodeData,
  encodeInit,
  encodeShutdownComplete,
  read8,
} from "../../../packages/sctp/src/index.ts";
import { memoryJournal } from "../../../packages/sync/src/journal/memory-segment.ts";
import type { JournalFactory } from "../../../packages/sync/src/journal/segment.ts";
import { MemoryNetwork } from "../../../packages/sync/src/transport/memory.ts";
import { SimulatedClock, SimulatedTime } from "../clock.ts";
import { checkNow } from "./checks.ts";
import { Client } from "./client.ts";
import { configurationOf, memberName } from "./configuration.ts";
import { Endpoint } from "./endpoint.ts";
import type { WholeFault } from "./faults.ts";
import { ipPacket, nextMac, resetMacs, type Surroundings } from "./host.ts";
import { type Instance, Ledger } from "./ledger.ts";
import { Life } from "./life.ts";
import { Machine } from "./machine.ts";
import type { Happening, Schedule } from "./schedule.ts";
import { Greetings, VERSIONS } from "./versions.ts";
import { type Port, Wire } from "./wire.ts";
import {
  clientAddress,
  ENDPOINT_COUNT,
  endpointAddress,
  NETWORKS,
  type Network,
  SERVICE_PORT,
  SERVICES,
  strangerAddress,
} from "./world.ts";

export interface WholeOptions {
  readonly schedule: Schedule;
  readonly fault?: WholeFault | undefined;
  readonly journals?: JournalFactory;
  readonly story?: boolean;
}

export interface WholeResult {
  readonly seed: number;
  readonly memberCount: number;
  readonly violations: readonly string[];
  readonly eventCount: number;
  readonly frameCount: number;
  readonly simulatedMs: number;
  readonly opened: number;
  readonly excused: number;
  /** Of every frame and its time. */
  readonly hash: number;
  readonly story: readonly string[];
  /** What the run went through, for those who wonder whether it went through anything. */
  readonly totals: Readonly<Record<string, number>>;
}

/** Peace before anything is looked at: members return, settle, and hosts find their paths again. */
const PEACE_MS = 1_600;
const PROGRESS_MS = 900;
/** After a member was away, slow or cut off: others may still prefer somebody else for so long. */
const DOUBT_MS = 1_500;
/** In that time: paths that are used for the first time. */
const MISS_COUNT_MAX = 40;
/** Ghosts are idle first, then tombstones, then journals forget; again for what came late. */
const SETTLE_MAX_MS = 16_000;
const SETTLE_STEP_MS = 500;
const LOOK_STEP_MS = 200;
/** A member that dies takes nothing with it that it has had for so long, while the others can be reached. */
const REPLICATION_MS = 300;
/** … and what it has had for so long is on its disk, however slow. */
const DISK_MS = 1_200;

export class WholeSimulation {
  readonly time = new SimulatedTime();
  readonly wire: Wire;
  readonly ledger: Ledger;
  readonly machines: Machine[];
  readonly clients: Client[];
  readonly endpoints: Endpoint[];
  readonly links: MemoryNetwork;
  readonly fault: WholeFault | undefined;
  readonly schedule: Schedule;
  readonly totals: Record<string, number> = {};
  readonly #journals: JournalFactory;
  readonly #random;
  readonly #greetings: Greetings;
  readonly #origins: number[];
  readonly #wallOffsets: number[];
  readonly #versions: number[];
  readonly #lives: number[];
  readonly #story: string[] = [];
  readonly #telling: boolean;
  readonly #attacker: Port;
  readonly #macs = new Map<Address, number>();
  readonly #frozen = new Set<number>();
  readonly #stalls = new Map<string, number>();
  #talking = true;
  #slow = false;
  #killOnInitAckMs: number | undefined;
  /** Since when nothing has been cut, stopped or slowed. */
  #quietSinceMs = 0;
  #troubles = 0;
  /** By member: until then others may have had reason to prefer somebody else. */
  readonly #doubtedUntilMs: number[] = [];

  constructor(options: WholeOptions) {
    const { schedule, fault } = options;
    const { seed, memberCount } = schedule;
    this.schedule = schedule;
    this.fault = fault;
    this.#journals = options.journals ?? memoryJournal;
    this.#telling = options.story === true;
    this.#random = seededRandom(seed);
    resetMacs();
    this.wire = new Wire(this.time, seededRandom(seed ^ 0x5bd1e995));
    this.ledger = new Ledger(() => this.time.nowMs);
    const linkRandom = seededRandom(seed ^ 0x1b873593);
    this.links = new MemoryNetwork({
      clock: new SimulatedClock(this.time),
      random: linkRandom,
      delayMs: () => (this.#slow ? 5 + linkRandom.below(80) : 0.2 + linkRandom.below(800) / 1_000),
      detectMs: 100,
      reconnectMs: 20,
      refusalPauseMs: 100,
      queueBytesMax: 64 * 1024,
    });
    const numbers = Array.from({ length: memberCount }, (_, number) => number);
    this.#greetings = new Greetings(numbers.map((number) => ({ number, name: memberName(number) })));
    this.#origins = numbers.map(() => this.#random.below(1_000_000));
    this.#wallOffsets = numbers.map(() => 0);
    this.#versions = numbers.map(() => schedule.version);
    this.#lives = numbers.map(() => 0);
    this.machines = numbers.map(
      (number) =>
        new Machine({
          number,
          wire: this.wire,
          macs: this.#macs,
          nowMs: () => this.time.nowMs + (this.#origins[number] as number),
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
    const around: Surroundings = {
      clock: new SimulatedClock(this.time),
      random: seededRandom(seed ^ 0x85ebca6b),
      wire: this.wire,
      ledger: this.ledger,
      macs: this.#macs,
      isTalking: () => this.#talking,
    };
    this.clients = schedule.clients.map(
      ({ networks, ...spec }, i) =>
        new Client(
          {
            ...spec,
            name: `c${i}`,
            addresses: networks.map((network, k) => clientAddress(network, i * 4 + k)),
          },
          around,
        ),
    );
    this.endpoints = Array.from(
      { length: ENDPOINT_COUNT },
      (_, i) => new Endpoint(`e${i}`, endpointAddress(i), around),
    );
    this.#attacker = { host: "attacker", network: "path-a", mac: nextMac(), receive: () => {} };
    this.wire.plug(this.#attacker);
    this.wire.onFrame = (frame, from, to) => {
      if (this.#killOnInitAckMs === undefined || frame.kind !== "ip") return;
      const machine = this.machines.find(({ name }) => name === from.host);
      if (machine === undefined || !to.host.startsWith("c")) return;
      // IPv4 without options, SCTP's common header, then the first chunk.
      if (read8(frame.packet, 32) !== CHUNK.INIT_ACK) return;
      const forMs = this.#killOnInitAckMs;
      this.#killOnInitAckMs = undefined;
      // Once the client has it.
      this.time.at(this.time.nowMs, () => this.#kill(machine, "machine", "kept", forMs));
    };
  }

  clockOf(number: number): SimulatedClock {
    return new SimulatedClock(this.time, this.#origins[number], this.#wallOffsets[number]);
  }

  versionOf(number: number): number {
    return this.#versions[number] as number;
  }

  async run(): Promise<WholeResult> {
    const { time, schedule } = this;
    for (const machine of this.machines) this.#start(machine);
    const giveUp = () => {
      for (const client of this.clients) client.giveUp();
      for (const endpoint of this.endpoints) endpoint.giveUp();
      time.at(time.nowMs + 100, giveUp);
    };
    time.at(100, giveUp);
    for (const event of schedule.events) time.at(event.atMs, () => this.#happen(event));
    await this.#runUntil(schedule.peaceAtMs);
    if (this.ledger.violations.length === 0) await this.#peace();
    const violations = this.ledger.violations.length > 0 ? this.ledger.violations : await this.#judge();
    for (const { life } of this.machines) life?.crash();
    return {
      seed: schedule.seed,
      memberCount: schedule.memberCount,
      violations,
      eventCount: time.eventCount,
      frameCount: this.wire.frameCount,
      simulatedMs: time.nowMs,
      opened: this.ledger.instances.length,
      excused: this.ledger.instances.filter(({ excused }) => excused !== undefined).length,
      hash: this.wire.hash,
      story: this.#story,
      totals: this.totals,
    };
  }

  // -------------------------------------------------------------------------------------------------------------

  async #peace(): Promise<void> {
    const { time } = this;
    this.tell("peace");
    this.#killOnInitAckMs = undefined;
    // Troubles end by themselves; the last ones began before peace.
    await this.#runUntil(time.nowMs + PEACE_MS);
    for (const machine of this.machines) if (machine.life === undefined) this.#start(machine);
    while (this.#troubles > 0) await time.run(time.nowMs + 100);
    await this.#runUntil(time.nowMs + PEACE_MS);
  }

  /** Not on and on, once something has been seen that must not be. */
  async #runUntil(untilMs: number): Promise<void> {
    const { time, ledger } = this;
    while (time.nowMs < untilMs && ledger.violations.length === 0)
      await time.run(Math.min(untilMs, time.nowMs + LOOK_STEP_MS));
  }

  #missCount(): number {
    return this.machines.reduce((sum, { fastPath }) => sum + fastPath.missCount, 0);
  }

  async #judge(): Promise<readonly string[]> {
    const { time, ledger } = this;
    const expected = ledger.instances.filter(
      ({ state, excused, endpointLost }) =>
        (state === "alive" || state === "opening") && excused === undefined && !endpointLost,
    );
    for (const instance of expected)
      if (instance.state === "opening")
        ledger.violate(`a${instance.id} of ${instance.client} does not come up`);
    const before = expected.map(({ delivered }) => ({ ...delivered }));
    const missesBefore = this.#missCount();
    await time.run(time.nowMs + PROGRESS_MS);
    const misses = this.#missCount() - missesBefore;
    if (misses > MISS_COUNT_MAX) ledger.violate(`${misses} packets of what lives were punted as unknown`);
    for (const [i, instance] of expected.entries()) {
      if (instance.state !== "alive") continue;
      for (const side of ["client", "endpoint"] as const)
        if (instance.delivered[side] <= (before[i]?.[side] ?? 0))
          ledger.violate(`a${instance.id} of ${instance.client} lives, and nothing of its ${side} arrives`);
    }
    if (ledger.violations.length > 0) return ledger.violations;
    this.#talking = false;
    let violations: readonly string[] = [];
    const untilMs = time.nowMs + SETTLE_MAX_MS;
    while (time.nowMs < untilMs) {
      await time.run(time.nowMs + SETTLE_STEP_MS);
      violations = checkNow(this);
      if (violations.length === 0 || ledger.violations.length > 0) break;
    }
    return [...ledger.violations, ...violations];
  }

  tell(what: string): void {
    if (this.#telling) this.#story.push(`${Math.round(this.time.nowMs)} ms: ${what}`);
  }

  count(name: string): void {
    this.totals[name] = (this.totals[name] ?? 0) + 1;
  }

  /** Something is wrong until `end` is called. `whom`: others may hold these members for worse than they are. */
  #trouble(what: string, forMs: number, whom: readonly Machine[], end: () => void): void {
    this.tell(what);
    this.#troubles++;
    for (const { number } of whom)
      this.#doubtedUntilMs[number] = Math.max(
        this.#doubtedUntilMs[number] ?? 0,
        this.time.nowMs + forMs + DOUBT_MS,
      );
    this.#quietSinceMs = Number.POSITIVE_INFINITY;
    this.time.at(this.time.nowMs + forMs, () => {
      this.#troubles--;
      if (this.#troubles === 0) this.#quietSinceMs = this.time.nowMs;
      this.tell(`over: ${what}`);
      end();
    });
  }

  // -------------------------------------------------------------------------------------------------------------

  #start(machine: Machine): void {
    const { number } = machine;
    machine.isOn = true;
    const life = new Life({
      machine,
      configuration: configurationOf(number, this.schedule.memberCount),
      version: VERSIONS[this.versionOf(number)] as (typeof VERSIONS)[number],
      disk: machine.disk,
      links: this.links,
      greetings: this.#greetings,
      journals: this.#journals,
      random: seededRandom(this.schedule.seed * 64 + number * 7 + 131 * (this.#lives[number] as number)),
      fault: this.fault,
      clock: () => this.clockOf(number),
      took: (vip, caughtUp) => this.#took(machine, vip, caughtUp),
    });
    this.#lives[number] = (this.#lives[number] as number) + 1;
    machine.life = life;
    this.count("starts");
    void life.start().catch((error: unknown) => {
      this.ledger.violate(`${machine.name} does not start: ${String(error)}`);
    });
  }

  /** A returning member takes nothing from one that is well before it has caught up. */
  #took(machine: Machine, vip: Address, caughtUp: boolean): void {
    this.tell(`${machine.name} owns ${vip}`);
    this.count("takeovers");
    if (caughtUp) return;
    const well = this.machines.find(
      (other) =>
        other !== machine &&
        other.fastPath.isAlive &&
        other.fastPath.owns(vip) &&
        (this.#doubtedUntilMs[other.number] ?? 0) < this.time.nowMs,
    );
    if (well !== undefined)
      this.ledger.violate(`${machine.name} took ${vip} from ${well.name} before it had caught up`);
  }

  #kill(machine: Machine, what: "daemon" | "machine", disk: "kept" | "lost", forMs: number): void {
    const { life } = machine;
    if (life === undefined) return;
    this.#excuse(machine, disk);
    this.count(`kills.${what}`);
    machine.life = undefined;
    life.crash();
    machine.forgetDaemon();
    machine.disk.crash(disk);
    if (what === "machine") {
      machine.isOn = false;
      machine.fastPath.wipe();
      this.#origins[machine.number] = this.#random.below(1_000_000);
    }
    this.#trouble(`${machine.name}: its ${what} dies, disk ${disk}`, forMs, [machine], () => {
      if (machine.life === undefined) this.#start(machine);
    });
  }

  /** What only the dying member knew, when nobody could be told, is nobody's fault. */
  #excuse(victim: Machine, disk: "kept" | "lost"): void {
    const { time, ledger } = this;
    const others = this.machines.filter((machine) => machine !== victim && machine.life !== undefined);
    const wasQuiet = time.nowMs - this.#quietSinceMs >= REPLICATION_MS;
    for (const instance of ledger.instances) {
      if (instance.state === "over" || instance.excused !== undefined) continue;
      const holders = others.filter(({ life }) => holds(life, instance));
      if (holders.length > 0) continue;
      // From the INIT-ACK on, no single death loses a handshake; before it, the INIT is simply sent again.
      if (wasQuiet && others.length > 0) continue;
      const isOld = instance.state === "alive" && time.nowMs - instance.aliveSinceMs >= DISK_MS;
      if (others.length === 0 && disk === "kept" && isOld) continue;
      instance.excused = `${victim.name} alone knew of it`;
    }
  }

  #happen(event: Happening): void {
    const client = "client" in event ? this.clients[event.client] : undefined;
    const machine = "member" in event ? this.machines[event.member] : undefined;
    switch (event.kind) {
      case "open": {
        const service = SERVICES[event.service];
        if (client === undefined || service === undefined || !client.isFree) return;
        const instance = client.open(service, event.vip, event.both);
        this.tell(`${client.name} opens a${instance.id}, tag ${instance.clientTag.toString(16)}`);
        return;
      }
      case "end":
        this.#end(client, event.by, event.how);
        return;
      case "restartClient": {
        if (client?.association === undefined) return;
        const before = client.instance?.id;
        const instance = client.restart();
        if (instance !== undefined) this.tell(`${client.name} restarts a${before} as a${instance.id}`);
        return;
      }
      case "vanish":
        if (client?.association === undefined) return;
        this.tell(`${client.name} vanishes with a${client.instance?.id}`);
        client.vanish();
        return;
      case "restartEndpoint": {
        const endpoint = this.endpoints[event.endpoint];
        if (endpoint === undefined || endpoint.isDown) return;
        endpoint.crash();
        this.#trouble(`${endpoint.name} is down`, event.forMs, [], () => endpoint.start());
        return;
      }
      case "kill": {
        if (machine?.life === undefined) return;
        // Two losses at once lose data by right; so does one while the others cannot be reached.
        const isSafe = this.time.nowMs - this.#quietSinceMs >= REPLICATION_MS;
        if (this.machines.filter(({ life }) => life !== undefined).length < 2) return;
        this.#kill(machine, event.what, isSafe ? event.disk : "kept", event.forMs);
        return;
      }
      case "killOnInitAck":
        this.#killOnInitAckMs = event.forMs;
        return;
      case "killAll":
        for (const each of this.machines) this.#kill(each, event.what, "kept", event.forMs);
        return;
      case "freeze":
        if (machine !== undefined) this.#freeze(machine, event.what, event.forMs);
        return;
      case "cut":
        if (machine !== undefined) this.#cut(machine, event.network, event.carrier, event.forMs);
        return;
      case "cutCluster": {
        const sides = new Map(event.members.map((number) => [memberName(number), 1]));
        this.wire.split("cluster", sides);
        // Links prefer no network: they break and come back over another one.
        for (const a of event.members)
          for (const b of this.machines) if (!event.members.includes(b.number)) this.links.break(a, b.number);
        this.#trouble(
          `the cluster network is cut off ${event.members.join(", ")}`,
          event.forMs,
          this.machines,
          () => this.wire.split("cluster", undefined),
        );
        return;
      }
      case "split":
        this.#split(event);
        return;
      case "noise": {
        const { loss, duplication, reorder, forMs } = event;
        Object.assign(this.wire.faults, { loss, duplication, reorder });
        this.#trouble(
          `noise: ${loss} lost, ${duplication} twice, ${reorder} late`,
          forMs,
          this.machines,
          () => {
            Object.assign(this.wire.faults, { loss: 0, duplication: 0, reorder: 0 });
          },
        );
        return;
      }
      case "stall":
        this.#stall(event.from, event.to, true);
        this.#trouble(`the link from m${event.from} to m${event.to} stalls`, event.forMs, [], () =>
          this.#stall(event.from, event.to, false),
        );
        return;
      case "slowLinks":
        this.#slow = true;
        this.#trouble("slow links", event.forMs, [], () => {
          this.#slow = false;
        });
        return;
      case "break":
        this.tell(`the link between m${event.from} and m${event.to} breaks`);
        this.links.break(event.from, event.to);
        this.#quietSinceMs = Math.max(this.#quietSinceMs, this.time.nowMs);
        return;
      case "slowDisk":
        if (machine === undefined) return;
        machine.disk.isSlow = true;
        this.#trouble(`the disk of ${machine.name} is slow`, event.forMs, [], () => {
          machine.disk.isSlow = false;
        });
        return;
      case "jump":
        if (machine === undefined) return;
        this.tell(`the clock of ${machine.name} jumps by ${event.byMs} ms`);
        this.#wallOffsets[machine.number] = (this.#wallOffsets[machine.number] as number) + event.byMs;
        machine.life?.jump(event.byMs);
        return;
      case "drain":
        if (machine !== undefined) this.#drain(machine, event.forMs);
        return;
      case "upgrade":
        if (machine !== undefined) this.#upgrade(machine, event.version);
        return;
      case "forge":
        if (client !== undefined) this.#forge(client, event.what, event.tag);
        return;
      case "flood":
        this.#flood(event.count);
        return;
      case "remove":
        if (client !== undefined) this.#remove(client);
        return;
    }
  }

  #end(client: Client | undefined, by: "client" | "endpoint", how: "shutdown" | "abort"): void {
    const instance = client?.instance;
    if (client === undefined || instance?.state !== "alive") return;
    this.tell(`${how} of a${instance.id} by its ${by}`);
    if (by === "client") client[how]();
    else this.endpoints.find(({ name }) => name === instance.endpoint)?.[how](instance);
  }

  /** Reasons add up. */
  #stall(from: number, to: number, isStalled: boolean): void {
    const key = `${from} ${to}`;
    const count = (this.#stalls.get(key) ?? 0) + (isStalled ? 1 : -1);
    this.#stalls.set(key, count);
    this.links.stall(from, to, count > 0);
  }

  #freeze(machine: Machine, what: "all" | "main", forMs: number): void {
    const { life, number } = machine;
    if (life === undefined || this.#frozen.has(number)) return;
    const stall = (isStalled: boolean) => {
      if (what === "all")
        for (const other of this.machines)
          if (other !== machine) this.#stall(other.number, number, isStalled);
    };
    this.#frozen.add(number);
    life.freeze(what);
    stall(true);
    this.#trouble(`${machine.name} stands still (${what})`, forMs, [machine], () => {
      this.#frozen.delete(number);
      stall(false);
      life.thaw();
    });
  }

  #cut(machine: Machine, network: Network, carrier: boolean, forMs: number): void {
    this.wire.cut(machine.name, network, true);
    if (carrier) machine.setCarrier(network, false);
    this.#trouble(
      `${machine.name} is cut off ${network}${carrier ? ", no carrier" : ""}`,
      forMs,
      [machine],
      () => {
        this.wire.cut(machine.name, network, false);
        if (carrier) machine.setCarrier(network, true);
      },
    );
  }

  #split(event: Extract<Happening, { kind: "split" }>): void {
    const { ledger } = this;
    const sides = new Map([
      ...event.members.map((i): [string, number] => [memberName(i), 1]),
      ...event.clients.map((i): [string, number] => [`c${i}`, 1]),
      ...event.endpoints.map((i): [string, number] => [`e${i}`, 1]),
    ]);
    for (const network of NETWORKS) if (network !== "cluster") this.wire.split(network, sides);
    this.wire.split("cluster", sides);
    const others = this.machines.map(({ number }) => number).filter((n) => !event.members.includes(n));
    this.links.partition([...event.members], others);
    const crosses = (client: string, endpoint: string | undefined) =>
      endpoint === undefined || (sides.get(client) ?? 0) !== (sides.get(endpoint) ?? 0);
    // What no packet can reach for longer than the idle limit is idle, and clients are told of an endpoint out of reach.
    const excuse = () => {
      if (event.forMs < SPLIT_SHORT_MS) return;
      for (const instance of ledger.instances)
        if (instance.state !== "over" && crosses(instance.client, instance.endpoint))
          instance.excused ??= "its ends were parted for longer than the idle limit";
    };
    excuse();
    this.#trouble(
      `split: ${[...sides.keys()].join(" ")} against the rest, ${event.forMs} ms`,
      event.forMs,
      this.machines,
      () => {
        for (const network of NETWORKS) this.wire.split(network, undefined);
        this.links.healAll();
        excuse();
      },
    );
  }

  #drain(machine: Machine, forMs: number): void {
    const store = machine.life?.link?.store;
    if (store === undefined || machine.life?.isComposed !== true) return;
    store.setMemberDrained(machine.name, true);
    this.#trouble(`${machine.name} drains`, forMs, [machine], () => {
      // Said at any member: at one that runs.
      const speaker = this.machines.find(({ life }) => life?.isComposed === true);
      speaker?.life?.link?.store.setMemberDrained(machine.name, false);
    });
  }

  #upgrade(machine: Machine, version: number): void {
    const { life, number } = machine;
    if (life?.isComposed !== true) return;
    this.#versions[number] = version;
    this.count("upgrades");
    this.tell(`${machine.name} stops, to return as version ${version}`);
    this.#troubles++;
    this.#doubtedUntilMs[number] = Number.POSITIVE_INFINITY;
    this.#quietSinceMs = Number.POSITIVE_INFINITY;
    void life.stop().then(() => {
      this.#troubles--;
      if (this.#troubles === 0) this.#quietSinceMs = this.time.nowMs;
      this.#doubtedUntilMs[number] = this.time.nowMs + DOUBT_MS;
      if (machine.life !== life) return;
      machine.forgetDaemon();
      this.tell(`${machine.name} starts as version ${version}`);
      this.#start(machine);
    });
  }

  /** Into the segment, to everybody who announces the VIP. */
  #inject(source: Address, vip: Address, port: number, tag: number, chunks: readonly Uint8Array[]): void {
    const packet = ipPacket(source, vip, { source: port, destination: SERVICE_PORT }, tag, chunks);
    for (const machine of this.machines) {
      if (!machine.fastPath.owns(vip)) continue;
      const mac = machine.network.link("pa")?.mac;
      if (mac !== undefined)
        this.wire.send(this.#attacker, ((mac[4] as number) << 8) | (mac[5] as number), {
          kind: "ip",
          packet,
        });
    }
  }

  #forge(client: Client, what: Extract<Happening, { kind: "forge" }>["what"], tag: number): void {
    const instance = client.instance;
    const [source] = client.options.addresses;
    if (instance === undefined || source === undefined || this.ledger.byTag(tag) !== undefined) return;
    const chunks = {
      abort: encodeAbort(),
      abortReflected: encodeAbort({ reflected: true }),
      shutdownComplete: encodeShutdownComplete(),
      init: encodeInit({ initiateTag: tag }),
      data: encodeData({ tsn: 1, data: new Uint8Array(12) }),
    };
    this.tell(`forged ${what} in the name of a${instance.id}`);
    for (const vip of instance.service.vips)
      this.#inject(source, vip, client.options.port, what === "init" ? 0 : tag, [chunks[what]]);
  }

  #flood(count: number): void {
    this.tell(`${count} INITs of strangers`);
    const [service] = SERVICES;
    if (service === undefined) return;
    for (let i = 0; i < count; i++) {
      const source = strangerAddress(this.#random.below(250));
      const tag = 1 + this.#random.below(0xffff_fffe);
      const vip = service.vips[this.#random.below(service.vips.length)] as Address;
      this.time.at(this.time.nowMs + i, () =>
        this.#inject(source, vip, 20_000 + this.#random.below(20_000), 0, [encodeInit({ initiateTag: tag })]),
      );
    }
  }

  #remove(client: Client): void {
    const instance = client.instance;
    if (instance?.state !== "alive") return;
    for (const { life } of this.machines) {
      if (life?.dataPlane === undefined || !life.isComposed) continue;
      const [record] = [...life.view.values()].filter(
        (each) => each.commit?.clientTag === instance.clientTag,
      );
      // In the other half it may have been called dead: there is nothing to remove.
      if (record === undefined || !isLiving(record)) continue;
      instance.state = "closing";
      this.tell(`an operator removes a${instance.id}`);
      life.dataPlane.removeSession(record.id);
      return;
    }
  }
}

/** Splits up to here are shorter than every limit that could end something. */
const SPLIT_SHORT_MS = 1_500;

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

export function simulateWhole(options: WholeOptions): Promise<WholeResult> {
  return new WholeSimulation(options).run();
}

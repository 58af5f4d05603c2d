// One seed of a whole cluster: machines with daemons, clients and endpoints on one wire; the schedule happens; then
// peace, and the checks.
import { isLiving, seededRandom } from "@holdfast/model";
import { CHUNK, read8 } from "@holdfast/sctp";
import { type JournalFactory, MemoryNetwork, memoryJournal } from "@holdfast/sync/testing";
import { SimulatedClock, SimulatedTime } from "../clock.ts";
import { Attacker } from "./attacker.ts";
import { checkNow } from "./checks.ts";
import { Client } from "./client.ts";
import { Disturbance } from "./disturbance.ts";
import { Endpoint } from "./endpoint.ts";
import type { WholeFault } from "./faults.ts";
import { Fleet } from "./fleet.ts";
import { resetMacs, type Surroundings } from "./host.ts";
import { Ledger } from "./ledger.ts";
import type { Machine } from "./machine.ts";
import { Membership } from "./membership.ts";
import { Operator } from "./operator.ts";
import type { Happening, Schedule } from "./schedule.ts";
import { happenTo, type MachineHands, machineOf } from "./to-machines.ts";
import { Troubles } from "./troubles.ts";
import { Wire } from "./wire.ts";
import { clientAddress, ENDPOINT_COUNT, endpointAddress, SERVICES } from "./world.ts";

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

/**
 * A queue has room for all of the configuration, as in the product; a member that comes could never learn the
 * list otherwise. Here that is HISTORY_COUNT_MAX changes of some 350 bytes.
 */
const QUEUE_BYTES_MAX = 256 * 1024;
/** Peace before anything is looked at: members return, settle, and hosts find their paths again. */
const PEACE_MS = 1_600;
const PROGRESS_MS = 900;
/** In that time: paths that are used for the first time. */
const MISS_COUNT_MAX = 40;
/** Ghosts are idle first, then tombstones, then journals forget; again for what came late. */
const SETTLE_MAX_MS = 16_000;
const SETTLE_STEP_MS = 500;
const LOOK_STEP_MS = 200;
/** Each change of the list waits until the one before has settled. */
const LIST_CHANGES_MAX_MS = 30_000;

export class WholeSimulation {
  readonly time = new SimulatedTime();
  readonly wire: Wire;
  readonly ledger: Ledger;
  readonly machines: readonly Machine[];
  readonly clients: Client[];
  readonly endpoints: Endpoint[];
  readonly links: MemoryNetwork;
  readonly fault: WholeFault | undefined;
  readonly schedule: Schedule;
  readonly totals: Record<string, number> = {};
  readonly #fleet: Fleet;
  readonly #attacker: Attacker;
  readonly #membership: Membership;
  readonly #hands: MachineHands;
  readonly #disturbance: Disturbance;
  readonly #troubles: Troubles;
  readonly #story: string[] = [];
  readonly #telling: boolean;
  #talking = true;
  #killOnInitAckMs: number | undefined;

  constructor(options: WholeOptions) {
    const { schedule, fault } = options;
    const { seed } = schedule;
    this.schedule = schedule;
    this.fault = fault;
    this.#telling = options.story === true;
    const { time } = this;
    const random = seededRandom(seed);
    resetMacs();
    this.wire = new Wire(time, seededRandom(seed ^ 0x5bd1e995));
    this.ledger = new Ledger(() => time.nowMs);
    const linkRandom = seededRandom(seed ^ 0x1b873593);
    this.links = new MemoryNetwork({
      clock: new SimulatedClock(time),
      random: linkRandom,
      delayMs: () =>
        this.#disturbance.isSlow ? 5 + linkRandom.below(80) : 0.2 + linkRandom.below(800) / 1_000,
      detectMs: 100,
      reconnectMs: 20,
      refusalPauseMs: 100,
      queueBytesMax: QUEUE_BYTES_MAX,
    });
    const tell = (what: string) => this.tell(what);
    const macs: Surroundings["macs"] = new Map();
    this.#troubles = new Troubles(time, tell);
    const common = { time, random, wire: this.wire, ledger: this.ledger, links: this.links, macs, tell };
    this.#disturbance = new Disturbance({
      ...common,
      troubles: this.#troubles,
      machines: () => this.machines,
    });
    this.#fleet = new Fleet({
      ...common,
      troubles: this.#troubles,
      schedule,
      fault,
      journals: options.journals ?? memoryJournal,
      count: (name) => this.count(name),
      stall: (from, to, isStalled) => this.#disturbance.stall(from, to, isStalled),
    });
    this.machines = this.#fleet.machines;
    const around: Surroundings = {
      clock: new SimulatedClock(time),
      random: seededRandom(seed ^ 0x85ebca6b),
      wire: this.wire,
      ledger: this.ledger,
      macs,
      isTalking: () => this.#talking,
    };
    this.clients = schedule.clients.map(
      ({ networks, listsNowhere, ...spec }, i) =>
        new Client(
          {
            ...spec,
            name: `c${i}`,
            addresses: networks.map((network, k) => clientAddress(network, i * 4 + k)),
            nowhere: listsNowhere === true ? [`192.0.2.${i + 1}`, `172.17.0.${i + 1}`] : [],
          },
          around,
        ),
    );
    this.endpoints = Array.from(
      { length: ENDPOINT_COUNT },
      (_, i) => new Endpoint(`e${i}`, endpointAddress(i), around),
    );
    const count = (name: string) => this.count(name);
    const operator = new Operator({ ...common, machines: this.machines, troubles: this.#troubles, count });
    this.#membership = new Membership({ time, fleet: this.#fleet, tell, count });
    const [fleet, disturbance, membership] = [this.#fleet, this.#disturbance, this.#membership];
    this.#hands = { fleet, disturbance, operator, membership };
    this.#attacker = new Attacker({ ...common, machines: this.machines });
    this.wire.onFrame = (frame, from, to) => {
      if (this.#killOnInitAckMs === undefined || frame.kind !== "ip") return;
      const machine = this.machines.find(({ name }) => name === from.host);
      if (machine === undefined || !to.host.startsWith("c")) return;
      // IPv4 without options, SCTP's common header, then the first chunk.
      if (read8(frame.packet, 32) !== CHUNK.INIT_ACK) return;
      const forMs = this.#killOnInitAckMs;
      this.#killOnInitAckMs = undefined;
      // Once the client has it.
      time.at(time.nowMs, () => this.#fleet.kill(machine, "machine", "kept", forMs));
    };
  }

  async run(): Promise<WholeResult> {
    const { time, schedule } = this;
    this.#fleet.startAll();
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
    this.#fleet.startAll();
    while (!this.#troubles.isOver) await time.run(time.nowMs + 100);
    this.#membership.finish();
    const untilMs = time.nowMs + LIST_CHANGES_MAX_MS;
    const { violations } = this.ledger;
    while (!this.#membership.isDone && time.nowMs < untilMs && violations.length === 0)
      await this.#runUntil(time.nowMs + 100);
    if (!this.#membership.isDone)
      this.ledger.violate(`the list of members does not change: ${this.#membership.trouble}`);
    await this.#runUntil(time.nowMs + PEACE_MS);
  }

  /** Those on the list, as whoever knows the latest one has it. */
  get members(): readonly Machine[] {
    const lists = this.#fleet.members.flatMap(({ life }) => life?.members?.current() ?? []);
    const list = lists.sort((a, b) => b.version - a.version)[0];
    return this.machines.filter(({ name }) => list?.members.some((each) => each.name === name) === true);
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

  // -------------------------------------------------------------------------------------------------------------

  #happen(event: Happening): void {
    const client = "client" in event ? this.clients[event.client] : undefined;
    if ("member" in event) {
      const machine = machineOf(this.machines, event);
      if (machine !== undefined) happenTo(machine, event, this.#hands);
      return;
    }
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
        this.#troubles.begin(`${endpoint.name} is down`, event.forMs, [], () => endpoint.start());
        return;
      }
      case "killOnInitAck":
        this.#killOnInitAckMs = event.forMs;
        return;
      case "killAll":
        for (const each of this.machines) this.#fleet.kill(each, event.what, "kept", event.forMs);
        return;
      case "cutCluster":
        this.#disturbance.cutCluster(event);
        return;
      case "split":
        this.#disturbance.split(event);
        return;
      case "noise":
        this.#disturbance.noise(event);
        return;
      case "stall":
        this.#disturbance.stallFor(event);
        return;
      case "slowLinks":
        this.#disturbance.slowLinks(event.forMs);
        return;
      case "break":
        this.#disturbance.break(event);
        return;
      case "forge":
        if (client !== undefined) this.#attacker.forge(client, event.what, event.tag);
        return;
      case "flood":
        this.#attacker.flood(event.count);
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

  #remove(client: Client): void {
    const instance = client.instance;
    if (instance?.state !== "alive") return;
    for (const { life } of this.machines) {
      if (life?.dataPlane === undefined || !life.isMember) continue;
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

export function simulateWhole(options: WholeOptions): Promise<WholeResult> {
  return new WholeSimulation(options).run();
}

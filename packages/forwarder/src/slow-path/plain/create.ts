// The room of TCP and UDP, put together, as the forwarder sees it.
import {
  type Address,
  defaultCheckOf,
  type EndCause,
  isPlain,
  isPlainEnded,
  PLAIN_SESSIONS,
  type PlainRecord,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  type Protocol,
  protocolName,
  protocolOfId,
  type Service,
  type ServiceId,
  type SessionChange,
  type SessionId,
  type SessionQuestion,
  SessionView,
  type Timer,
} from "@holdfast/model";
import type { Core } from "../../core.ts";
import type { FastPathEndpoint } from "../../fast-path/port.ts";
import { probedEndpoints } from "../../health/checks.ts";
import { EndpointHealth, type VerdictChange } from "../../health/endpoint-health.ts";
import type { ProbeChannel } from "../../health/probe.ts";
import { HealthProber, type ProbeSettings } from "../../health/prober.ts";
import { shareChannel } from "../../health/shared-channel.ts";
import { NatPorts } from "../../nat-ports/allocator.ts";
import { ServiceRegistry } from "../../services/registry.ts";
import type { ProtocolHandler } from "../handler.ts";
import { learned, PlainAdoption } from "./adoption.ts";
import { FORGET_DOWN, FORGET_UP, isHandshake, isLivingFlow, type LocalFlow, placeOf } from "./flow.ts";
import { LocalFlows } from "./flows.ts";
import { PlainHandler } from "./handler.ts";
import { PlainHeld } from "./held.ts";
import { PlainKeeping } from "./keeping.ts";
import { Offering } from "./offers.ts";
import { findOpened } from "./opened.ts";
import { watchOpenings } from "./opening.ts";
import { wantedPlace } from "./place.ts";
import { tellEnds } from "./resets.ts";
import { count, end, forget, install, publish, type Room, reserve, type Side, settle } from "./room.ts";
import { greatestShare } from "./shares.ts";
import { look } from "./tcp.ts";
import { YoungFlows } from "./young.ts";

export interface PlainRoomOptions {
  /** What the members share; absent: nobody else knows of flows. */
  readonly view?: SessionView<PlainRecord>;
  /** Whether every member can read such records. Default: yes. */
  readonly mayReplicate?: () => boolean;
  readonly memberNumberCount: number;
  /** Probes of endpoints; a channel a protocol. Absent: nobody is asked. */
  readonly probes?: {
    readonly channels: readonly ProbeChannel[];
    readonly settings?: Partial<ProbeSettings>;
  };
}

type WithProbes = {
  readonly probes?: { readonly channel: ProbeChannel; readonly settings?: Partial<ProbeSettings> };
  readonly plain?: Omit<PlainRoomOptions, "memberNumberCount">;
};

/** SCTP's prober and those of TCP and UDP have one channel. */
export function withSharedProbes<Options extends WithProbes>(options: Options): Options {
  const { probes, plain } = options;
  if (probes === undefined) return options;
  const [channel, ...channels] = shareChannel(probes.channel, 1 + PLAIN_SESSIONS.protocols.length);
  return { ...options, probes: { ...probes, channel }, plain: { ...plain, probes: { ...probes, channels } } };
}

export class PlainRoom {
  readonly handler: PlainHandler;
  readonly room: Room;
  readonly #keeping: PlainKeeping;
  readonly #adoption: PlainAdoption;
  readonly #probers = new Map<Protocol, HealthProber>();
  #timer: Timer | undefined;
  readonly #listeners = new Set<(before: PlainRecord | undefined, after: PlainRecord | undefined) => void>();
  readonly #unsubscribe: () => void;
  /** VIPs that this member has, and since when. */
  #owned: ReadonlyMap<Address, number> = new Map();
  readonly #verdictListeners = new Set<(change: VerdictChange) => void>();

  constructor(core: Core, options: PlainRoomOptions) {
    const { limits, random, clock, memberNumber, counters, replication } = core;
    const { memberNumberCount } = options;
    const makeNatPorts = () => new NatPorts({ memberNumber, memberNumberCount, random, limits });
    const sideOf = (protocol: number): Side => ({
      protocol,
      registry: new ServiceRegistry(),
      ...{ makeNatPorts, natPorts: makeNatPorts(), sourcePorts: new Map() },
      health: new EndpointHealth(),
      counts: new Map(),
    });
    const held = new PlainHeld({
      ...{ replication, counters, limits, seed: random.uint32() },
      nowMs: () => clock.nowMs(),
      retry: (input) => this.handler.input(input),
    });
    const tcp = sideOf(PROTOCOL_TCP);
    this.room = {
      core,
      offering: new Offering(() => this.room, tcp),
      sides: new Map([tcp, sideOf(PROTOCOL_UDP)].map((side) => [side.protocol, side])),
      flows: new LocalFlows(limits, random.uint32()),
      young: new YoungFlows(),
      view: options.view ?? new SessionView<PlainRecord>(PLAIN_SESSIONS),
      held,
      mayReplicate: options.mayReplicate ?? (() => true),
      mayBeElsewhere: (vip) => {
        const sinceMs = this.#owned.get(vip) ?? Number.NEGATIVE_INFINITY;
        return !core.ownsVip(vip) || clock.nowMs() - sinceMs < limits.askAfterMoveMs;
      },
      changed: (before, after) => {
        for (const listener of this.#listeners) listener(before, after);
      },
    };
    this.handler = new PlainHandler(this.room);
    this.#openProbers(options.probes);
    this.#adoption = new PlainAdoption(this.room, memberNumberCount);
    this.#keeping = new PlainKeeping(this.room, this.#adoption);
    for (const record of this.room.view.values())
      this.#shared({ previous: undefined, record, origin: "remote" });
    this.#unsubscribe = this.room.view.subscribe((change) => this.#shared(change));
  }

  /** Its own handlers, and another protocol's. */
  with(protocol: Protocol, handler: ProtocolHandler): ReadonlyMap<Protocol, ProtocolHandler> {
    const own = PLAIN_SESSIONS.protocols.map((each) => [each, this.handler] as const);
    return new Map<Protocol, ProtocolHandler>([[protocol, handler], ...own]);
  }

  /** A flow begins, changes or ends. */
  onChange(listener: (before: PlainRecord | undefined, after: PlainRecord | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** This member's own about endpoints of TCP and UDP. */
  onVerdict(listener: (change: VerdictChange) => void): void {
    this.#verdictListeners.add(listener);
  }

  *records(): Generator<PlainRecord> {
    for (const { record } of this.room.flows.values()) yield record;
  }

  setServices(all: readonly Service[]): void {
    this.room.offering.follow(all);
    for (const { protocol, registry, health } of this.room.sides.values()) {
      registry.set(all.filter((service) => service.protocol === protocol));
      health.retain(registry.endpointList());
    }
    for (const flow of [...this.room.flows.values()]) this.#followService(flow);
    this.#leaveDown();
    for (const [protocol, prober] of this.#probers) {
      const registry = this.room.sides.get(protocol)?.registry;
      if (registry === undefined) continue;
      const asked = probedEndpoints(registry);
      prober.setEndpoints(asked.map((each) => ({ ...each, check: each.check ?? defaultCheckOf(protocol) })));
    }
  }

  get registries(): readonly ServiceRegistry[] {
    return [...this.room.sides.values()].map(({ registry }) => registry);
  }

  /** Whose ways are proven: TCP's. */
  get proven(): readonly Side[] {
    const side = this.room.sides.get(PROTOCOL_TCP);
    return side === undefined ? [] : [side];
  }

  /** Of a service of TCP or UDP; undefined: it is of another protocol. */
  sideOf(id: ServiceId): Side | undefined {
    return this.room.sides.get(protocolOfId(id) ?? 0);
  }

  /** Of an endpoint as a service of TCP or UDP has it; undefined: the service is of another protocol. */
  healthOf(
    id: ServiceId,
    endpoint: { readonly address: Address; readonly port: number },
  ): { readonly health: "up" | "down" | "unknown"; readonly reason?: string } | undefined {
    const side = this.sideOf(id);
    if (side === undefined) return undefined;
    const { port } = endpoint;
    const verdicts = side.registry
      .configuredOf(endpoint)
      .map((address) => side.health.verdictOf({ address, port }));
    if (verdicts.some((each) => each?.verdict === "up")) return { health: "up" };
    const down = verdicts.find((each) => each !== undefined);
    return down === undefined ? { health: "unknown" } : { health: "down", reason: down.reason };
  }

  /** Flows on VIPs that this member did not own: others have forwarded meanwhile. */
  setOwned(owned: ReadonlySet<Address>): void {
    const before = this.#owned;
    const gained = new Set([...owned].filter((vip) => !before.has(vip)));
    const nowMs = this.room.core.clock.nowMs();
    this.#owned = new Map([...owned].map((vip) => [vip, before.get(vip) ?? nowMs]));
    // Handed over: whoever has the VIP now is to know its flows, however young.
    if ([...before.keys()].some((vip) => !owned.has(vip))) this.#keeping.publishAll();
    if (gained.size === 0) return;
    for (const flow of this.room.flows.values())
      if (gained.has(flow.record.vip)) flow.forgets = FORGET_UP | FORGET_DOWN;
    this.#leaveDown();
  }

  /** By stable name; ports as percent of this member's toward the endpoint that has the fewest left. */
  gauges(): [string, number][] {
    const { sides, flows, held, offering } = this.room;
    const ports = [...sides.values()].map((side): [string, number] => [
      `${protocolName(side.protocol)}-nat-ports-percent`,
      Math.round(100 * greatestShare(side)),
    ]);
    return [
      ["plain-flows", flows.size],
      ["plain-embryos", flows.embryoCount],
      ["plain-held-packets", held.size],
      ["tcp-offers", offering.waitingCount],
      ["tcp-offered-flows", offering.takenCount],
      ...ports,
    ];
  }

  /** This member is about to hand its VIPs over. */
  publishAll(): void {
    this.#keeping.publishAll();
  }

  /** What a member asks about is told it. */
  publish(question: SessionQuestion): void {
    const { flows, offering } = this.room;
    if (question.kind === "natPort") {
      const { protocol, endpoint, endpointPort: port, natPort } = question;
      if (protocol === undefined || !isPlain(protocol)) return;
      if (protocol === PROTOCOL_TCP) offering.adoptToward(endpoint, port, natPort);
      // The question does not say what the endpoint sent to: each source address has this port once.
      for (const flow of flows.allByNatPort(protocol, endpoint, port, natPort)) this.#publish(flow, true);
      return;
    }
    const { serviceId, client, clientPort } = question;
    for (const { registry, protocol } of this.room.sides.values()) {
      const { vips = [], port: destinationPort = 0 } = registry.get(serviceId)?.service ?? {};
      for (const destination of vips) {
        offering.adoptAt({ protocol, source: client, sourcePort: clientPort, destination, destinationPort });
        this.#publish(flows.byClient(serviceId, destination, client, clientPort));
      }
    }
  }

  /** What has more of it than a SYN. `isAnswered`: its endpoint has answered, elsewhere. */
  #publish(flow: LocalFlow | undefined, isAnswered = false): void {
    if (!isLivingFlow(flow)) return;
    findOpened(this.room, flow);
    // Who its client is stands in a PROXY header, which is sent where the SYN-ACK was seen.
    if (flow.stage !== "opening" || (isAnswered && flow.record.shift === 0)) publish(this.room, flow, true);
  }

  isVip(address: Address): boolean {
    return [...this.room.sides.values()].some(({ registry }) => registry.isVip(address));
  }

  endpoints(): readonly FastPathEndpoint[] {
    return [...this.room.sides.values()].flatMap(({ protocol, registry }) =>
      registry.endpointList().map((endpoint) => ({ ...endpoint, protocol })),
    );
  }

  removeFlow(id: SessionId): boolean {
    const flow = this.room.flows.get(id);
    if (!isLivingFlow(flow)) return false;
    this.#tell(flow, "operator");
    return true;
  }

  start(): void {
    const { clock, limits } = this.room.core;
    this.#timer ??= clock.every(limits.tickPeriodMs, () => this.#keeping.tick(clock.nowMs()));
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.room.offering.stop();
    for (const prober of this.#probers.values()) prober.stop();
    this.#unsubscribe();
  }

  #openProbers(probes: PlainRoomOptions["probes"]): void {
    const { core, sides } = this.room;
    const { clock, random, logger } = core;
    for (const [index, { protocol, health }] of [...sides.values()].entries()) {
      health.onVerdict((change) => {
        const { address, port, verdict, reason } = change;
        const about = { protocol: protocolName(protocol), address, port, reason };
        logger.info(about, `endpoint is ${verdict ?? "not asked any more"}`);
        if (protocol === PROTOCOL_UDP) this.#leaveDown();
        else if (verdict === "down") {
          this.room.offering.leave(address, port);
          watchOpenings(this.room, address, port);
        }
        for (const listener of this.#verdictListeners) listener(change);
      });
      const channel = probes?.channels[index];
      if (channel === undefined) continue;
      const prober = new HealthProber({
        ...{ channel, clock, random, opinions: false },
        ...(probes?.settings !== undefined && { settings: probes.settings }),
        verdict: (endpoint, verdict, reason) => health.setOwn(endpoint, verdict, reason, clock.nowMs()),
      });
      health.onSuspicion((endpoint) => prober.probeNow(endpoint));
      this.#probers.set(protocol, prober);
    }
  }

  /**
   * Datagrams know no connection: where their endpoint is down, the client's next one goes to another if one
   * is up. What this member finds of an endpoint is nothing to those that carry other VIPs' flows.
   */
  #leaveDown(): void {
    const { room } = this;
    const side = room.sides.get(PROTOCOL_UDP);
    if (side?.health.knowsDown !== true) return;
    // Whether somebody is up is the same for all flows of a service's VIP.
    const known = new Map<string, boolean>();
    const isAnyUp = (record: PlainRecord) => {
      const name = `${record.serviceId} ${record.vip}`;
      const before = known.get(name);
      if (before !== undefined) return before;
      const entry = side.registry.get(record.serviceId);
      const wanted = entry && wantedPlace(room, side, entry, record);
      const is = wanted !== undefined && side.health.isUp(wanted);
      known.set(name, is);
      return is;
    };
    for (const flow of [...room.flows.values()]) {
      const { record } = flow;
      if (record.protocol !== PROTOCOL_UDP || !isLivingFlow(flow) || !room.core.ownsVip(record.vip)) continue;
      if (!side.health.isUp(placeOf(record)) && isAnyUp(record)) end(room, flow, "endpointDown", true);
    }
  }

  /** What the members share has changed, here or elsewhere. */
  #shared({ record, previous }: SessionChange<PlainRecord>): void {
    const { room } = this;
    const id = (record ?? previous)?.id;
    const flow = id === undefined ? undefined : room.flows.get(id);
    if (record === undefined) {
      if (flow !== undefined) forget(room, flow);
      return;
    }
    if (flow !== undefined) {
      flow.isPublished = true;
      settle(room, flow, record);
      return;
    }
    const fresh = learned(room, this.#adoption, record);
    room.flows.add(fresh);
    if (isPlainEnded(record)) fresh.endedMs = room.core.clock.nowMs();
    else {
      count(room, record, 1);
      reserve(room, record);
      install(room, fresh, isHandshake(record));
    }
    room.changed(undefined, record);
  }

  /** Ends it; both ends hear of it, from the member whose VIP it is. */
  #tell(flow: LocalFlow, cause: EndCause): void {
    const { room } = this;
    look(room, flow);
    if (room.core.ownsVip(flow.record.vip)) tellEnds(room, flow);
    end(room, flow, cause, true);
  }

  /** Its service has come, or gone for good; its endpoint is none of the service's any more. */
  #followService(flow: LocalFlow): void {
    const { room } = this;
    if (!isLivingFlow(flow)) return;
    const { record } = flow;
    const registry = room.sides.get(record.protocol)?.registry;
    if (registry?.get(record.serviceId) === undefined) {
      if (room.core.isRemoved({ serviceId: record.serviceId })) this.#tell(flow, "endpointRemoved");
      return;
    }
    const identity = registry.endpointAddress(record.endpoint, record.endpointPort);
    const place = { address: identity ?? record.endpoint, port: record.endpointPort };
    if (identity !== undefined && registry.hasEndpoint(record.serviceId, place)) {
      if (!flow.isInstalled && flow.stage === "open") install(room, flow, false);
      return;
    }
    const removed = { serviceId: record.serviceId, endpoint: place };
    if (room.core.isRemoved(removed)) this.#tell(flow, "endpointRemoved");
  }
}

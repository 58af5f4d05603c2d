// The forwarder: the data plane of one member behind one object. It observes facts, hands them to the session table,
// and makes the fast path what the table says, whoever observed them.

import type {
  Address,
  Clock,
  Logger,
  MemberName,
  Random,
  Replication,
  Service,
  ServicePlace,
  SessionId,
  SessionQuestion,
  SessionRecord,
  SessionTable,
} from "@holdfast/model";
import { endpointKey, MEMBER_NUMBER_COUNT_DEFAULT, memberNumberOfPort, PROTOCOL_SCTP } from "@holdfast/model";
import { Adoption } from "./adoption/adoption.ts";
import type { Core } from "./core.ts";
import { Counters } from "./counters/counters.ts";
import type { SlowPathDropReason } from "./counters/drop-reasons.ts";
import { FairBucket } from "./counters/fair-bucket.ts";
import { TokenBucket } from "./counters/token-bucket.ts";
import { InitSources } from "./embryos/init-sources.ts";
import { Knocks } from "./embryos/knocks.ts";
import { Nursery } from "./embryos/nursery.ts";
import { lenderGone } from "./embryos/ports.ts";
import { publish } from "./embryos/publish.ts";
import { EndpointGuard } from "./endings/endpoint-guard.ts";
import { type ConfirmRemoved, Strays } from "./endings/strays.ts";
import type { FastPath, Punt } from "./fast-path/port.ts";
import { probedEndpoints } from "./health/checks.ts";
import { addressesDown, isEndpointUp } from "./health/endpoint-addresses.ts";
import { EndpointHealth, type Verdict, type VerdictChange } from "./health/endpoint-health.ts";
import {
  HealthProber,
  type ProbeChannel,
  type ProbeDelays,
  type ProbedEndpoint,
  type ProbeSettings,
} from "./health/prober.ts";
import { Twins } from "./health/twins.ts";
import { Housekeeping } from "./housekeeping/housekeeping.ts";
import { type ForwarderLimits, LIMITS_DEFAULT } from "./limits.ts";
import { NatPorts } from "./nat-ports/allocator.ts";
import type { LendAnswer, LoanMessage, PortLending } from "./nat-ports/lending.ts";
import { Loans } from "./nat-ports/loans.ts";
import { type PortBooks, portBooksOf } from "./nat-ports/port-books.ts";
import { PortKeeper } from "./nat-ports/port-keeper.ts";
import { Wishes } from "./nat-ports/wishes.ts";
import type { ClientFilterOptions } from "./path-mapping/client-filter.ts";
import { moveVips } from "./path-mapping/moved-vips.ts";
import { ProbeOutcomes } from "./path-mapping/probes.ts";
import { Associations } from "./selection/associations.ts";
import { ServiceRegistry } from "./services/registry.ts";
import { localAddresses, type VipPlacement } from "./services/served.ts";
import { describeSession, type SessionDescription } from "./sessions/description.ts";
import { Follower } from "./sessions/follower.ts";
import { SessionKeeper } from "./sessions/session-keeper.ts";
import { Dispatcher } from "./slow-path/dispatcher.ts";
import { PlainRoom, type PlainRoomOptions, withSharedProbes } from "./slow-path/plain/create.ts";
import { Unaccepted } from "./slow-path/sctp/acceptance.ts";
import { Beginnings } from "./slow-path/sctp/beginning.ts";
import { SctpHandler } from "./slow-path/sctp/handler.ts";
import { Held } from "./slow-path/sctp/held.ts";
import { AnswerRates, Certainty } from "./slow-path/sctp/out-of-the-blue.ts";

export interface ForwarderOptions {
  readonly fastPath: FastPath;
  readonly table: SessionTable;
  readonly replication: Replication;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** This member's number: 0 … memberNumberCount - 1. NAT ports follow from it. */
  readonly memberNumber: number;
  /** A power of two, the same at every member. Default MEMBER_NUMBER_COUNT_DEFAULT. */
  readonly memberNumberCount?: number;
  readonly limits?: Partial<ForwarderLimits>;
  /** Whether this member knows every session of the cluster, or misses nobody who might. Default: never. */
  readonly knowsAll?: () => boolean;
  /** Whether this member may admit new associations. Default: always. */
  readonly isReady?: () => boolean;
  /** What `setServices` leaves out and this does not confirm is unknown here, and loses nothing. Default: it was removed. */
  readonly isRemoved?: (place: ServicePlace) => boolean;
  /** Which places a majority of the members knows to be removed, before their sessions end. Default: this member's word. */
  readonly confirmRemoved?: ConfirmRemoved;
  /** Addresses that no client can have beside VIPs and endpoints: members' own. */
  readonly memberAddresses?: readonly Address[];
  /** The same of addresses that come and go. */
  readonly isMemberAddress?: (address: Address) => boolean;
  /**
   * Verdicts of "down" that it takes to end a dead endpoint's sessions: a majority of all members, alive or not, so that
   * one that is cut off ends nothing. Default 1: a lone member.
   */
  readonly verdictQuorum?: () => number;
  /** Probes endpoints and forms this member's verdicts. Absent: `setVerdict` alone does. */
  readonly probes?: { readonly channel: ProbeChannel; readonly settings?: Partial<ProbeSettings> };
  /** Of TCP and UDP. */
  readonly plain?: Omit<PlainRoomOptions, "memberNumberCount">;
  /** How other members are asked for clients' own ports; absent: only this member's slots have them. */
  readonly lending?: PortLending;
  /** What clients are believed. */
  readonly clients?: Omit<ClientFilterOptions, "isOwn">;
}

export interface ForwarderCounters {
  /** What the slow path did, by stable name. */
  readonly events: ReadonlyMap<string, number>;
  /** Packets that the slow path dropped, by reason. */
  readonly drops: ReadonlyMap<string, number>;
  /** The fast path's own totals. */
  readonly fastPath: ReadonlyMap<string, number>;
  /** Gauges. */
  readonly sessions: number;
  readonly embryos: number;
  readonly heldPackets: number;
  readonly natPortsUsed: number;
  readonly natPortsResting: number;
  /** Own ports of clients that are out, of handshakes that no session stands for yet. */
  readonly natPortsLent: number;
}

export type ForwarderEvent =
  | { readonly kind: "sessionCommitted"; readonly record: SessionRecord; readonly restart: boolean }
  | { readonly kind: "sessionEnded"; readonly record: SessionRecord }
  | {
      readonly kind: "endpointDead";
      readonly address: Address;
      readonly port: number;
      readonly sessions: number;
    };

export interface Forwarder {
  /** Of TCP and UDP: flows, and health of their endpoints. */
  readonly plain: PlainRoom;
  /** Replaces all services. Living associations of what stays are not touched; those of removed endpoints are told. */
  setServices(services: readonly Service[]): void;
  /** Hosts of no service that are asked all the same, for whoever wants to know how they are. */
  setHosts(hosts: readonly ProbedEndpoint[]): void;
  setOwnership(placements: readonly VipPlacement[]): void;
  /**
   * VIPs whose addresses this host has itself: their packets go to its own stack, but for those of living sessions, which
   * have flows.
   */
  setUnserved(vips: ReadonlySet<Address>): void;
  /** Adopts what the fast path holds, then takes punts. */
  start(): void;
  /** Takes no more punts; the data plane goes on. */
  stop(): void;
  describe(id: SessionId): SessionDescription | undefined;
  readonly portBooks: PortBooks;
  counters(): ForwarderCounters;
  on(listener: (event: ForwarderEvent) => void): () => void;
  /** Every packet that the slow path drops, with the reason; the bytes are valid only during the call. */
  onDrop(listener: ((reason: SlowPathDropReason, packet: Uint8Array | undefined) => void) | undefined): void;
  /** Every punt, before it is looked at: for traces. */
  onPunt(listener: ((punt: Punt) => void) | undefined): void;
  /** Neighbour solicitations for VIPs, as the fast path punts them. */
  onNeighbourSolicitation(listener: ((punt: Punt) => void) | undefined): void;
  /** Health verdicts of this member, to be shared. */
  onVerdict(listener: (change: VerdictChange) => void): () => void;
  /** This member's own verdict, from its prober. */
  setVerdict(
    endpoint: { address: Address; port: number },
    verdict: Verdict | undefined,
    reason: string,
    gone?: boolean,
    speaks?: boolean,
  ): void;
  /** A verdict of another member; undefined when that has none any more. */
  setOtherVerdict(
    member: MemberName,
    endpoint: { address: Address; port: number },
    verdict: Verdict | undefined,
    speaks?: boolean,
  ): void;
  readonly health: EndpointHealth;
  /** Up at one of its configured addresses, or of those of endpoints that are the same server. */
  isEndpointUp(endpoint: { readonly address: Address; readonly port: number }): boolean;
  /** All configured addresses of an endpoint, its identity first. */
  addressesOf(endpoint: { readonly address: Address; readonly port: number }): readonly Address[];
  /** Identities of other endpoints that are the same server, as its own answers to probes say. */
  sameServerAs(endpoint: { readonly address: Address; readonly port: number }): readonly Address[];
  /** How long this member's probes take; undefined: none was answered. */
  probeDelays(endpoint: { readonly address: Address; readonly port: number }): ProbeDelays | undefined;
  /** Ends a session as its operator wishes; client and endpoint are told. false: there is no such living session. */
  removeSession(id: SessionId): boolean;
  /** Before a member that asks is answered: what this member has forwarded but not shown yet goes into the table. */
  publish(question: SessionQuestion): void;
  /** Another member asks for a port, or says something about one. */
  heardLoan(from: number, message: LoanMessage): LendAnswer;
  /** The link to a member is gone, and with it, perhaps, its memory of what it lent. */
  lenderGone(member: number): void;
}

export function createForwarder(options: ForwarderOptions): Forwarder {
  return new SlowPathForwarder(withSharedProbes(options));
}

function checkNumber(memberNumber: number, memberNumberCount: number): void {
  if (memberNumberOfPort(memberNumber, memberNumberCount) !== memberNumber)
    throw new RangeError(`member number ${memberNumber} does not fit ${memberNumberCount} members`);
}

class SlowPathForwarder implements Forwarder {
  readonly #core: Core;
  readonly #counters = new Counters();
  readonly plain: PlainRoom;
  readonly #dispatcher: Dispatcher;
  readonly #sctp: SctpHandler;
  readonly #housekeeping: Housekeeping;
  readonly #adoption: Adoption;
  readonly #guard: EndpointGuard;
  readonly #strays: Strays;
  readonly #listeners = new Set<(event: ForwarderEvent) => void>();
  readonly #memberAddresses: ReadonlySet<Address>;
  #placements: readonly VipPlacement[] = [];
  #unserved: ReadonlySet<Address> = new Set();
  #owned: ReadonlySet<Address> | undefined;
  #hosts: readonly ProbedEndpoint[] = [];
  #turn: number;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;
  readonly #prober: HealthProber | undefined;
  readonly #twins = new Twins();

  constructor(options: ForwarderOptions) {
    const limits: ForwarderLimits = { ...LIMITS_DEFAULT, ...options.limits };
    const { fastPath, table, clock, random, memberNumber } = options;
    const memberNumberCount = options.memberNumberCount ?? MEMBER_NUMBER_COUNT_DEFAULT;
    checkNumber(memberNumber, memberNumberCount);
    const counters = this.#counters;
    const registry = new ServiceRegistry();
    const { lending } = options;
    const natPorts = new NatPorts({
      memberNumber,
      memberNumberCount,
      random,
      limits,
      ...(lending !== undefined && {
        memberNumbers: () => lending.listedNumbers ?? lending.takenNumbers ?? lending.memberNumbers,
      }),
    });
    const nursery = new Nursery(limits);
    const nowMs = () => clock.nowMs();
    this.#memberAddresses = new Set(options.memberAddresses ?? []);
    // Every member starts its round robin elsewhere.
    this.#turn = memberNumber;
    const sessions = new SessionKeeper({
      fastPath,
      table,
      registry,
      counters,
      nowMs,
      firstHandle: random.uint32(),
      endpointsDown: (candidate, entry) => addressesDown(this.#core.health, candidate, entry),
    });
    const held = new Held({
      replication: options.replication,
      counters,
      limits,
      nowMs,
      seed: random.uint32(),
      retry: (input) => this.#sctp.input(input),
    });
    const loans = new Loans({
      memberNumber,
      memberNumberCount,
      lending,
      natPorts,
      table,
      counters,
      limits,
      clock,
      sharingPorts: (address, port) => registry.sharingPorts({ address, port }),
      isUsedHere: ({ endpoint, endpointPort, natPort }, clientTag) => {
        const place = nursery.byAnswer(clientTag, natPort)?.endpoint;
        return place?.address === endpoint && place.port === endpointPort;
      },
    });
    const wishes = new Wishes({
      loans,
      clock,
      countMax: limits.heldPacketCountMax,
      retry: (input) => this.#sctp.input(input),
    });
    const { isMemberAddress = () => false } = options;
    const isOwn = (address: Address) => this.#isOwn(address) || isMemberAddress(address);
    this.#core = {
      fastPath,
      table,
      replication: options.replication,
      clock,
      random,
      logger: options.logger,
      limits,
      memberNumber,
      counters,
      registry,
      nursery,
      knocks: new Knocks(random, limits),
      initSources: new InitSources(),
      natPorts,
      loans,
      wishes,
      beginnings: new Beginnings(),
      associations: new Associations((id) => registry.get(id)?.service.selection === "persist"),
      sessions,
      health: new EndpointHealth(options.verdictQuorum),
      held,
      unaccepted: new Unaccepted(),
      probes: new ProbeOutcomes(),
      clientFilter: { isOwn, ...options.clients },
      answerRate: new FairBucket(limits.answersPerSecond, random.uint32()),
      provenAnswerRate: new FairBucket(limits.answersPerSecond, random.uint32()),
      outOfTheBlueRates: new AnswerRates(limits.answersPerSecond, limits.answersPerSecondAndPrefix),
      certainty: new Certainty(options.knowsAll ?? (() => false), limits.certaintyMs),
      icmpRate: new FairBucket(limits.icmpPerSecond, random.uint32()),
      icmpTranslatedRate: new FairBucket(limits.icmpTranslatedPerSecond, random.uint32()),
      publishRate: new TokenBucket(limits.replicatedEmbryosPerSecond),
      isReady: options.isReady ?? (() => true),
      isRemoved: options.isRemoved ?? (() => true),
      nextTurn: () => this.#turn++,
      ownsVip: (vip) => this.#owned === undefined || this.#owned.has(vip),
      events: {
        committed: (record, restart) => this.#emit({ kind: "sessionCommitted", record, restart }),
        endpointUnanswered: (endpoint) => this.#core.health.unanswered(endpoint),
      },
    };
    this.#prober = this.#proberOf(options);
    this.#core.health.onVerdict((change) => {
      options.logger.info(change, `endpoint is ${change.verdict ?? "not asked any more"}`);
      this.#guard.moveAddresses(change);
    });
    this.#core.health.onSuspicion((endpoint) => this.#prober?.probeNow(endpoint));
    this.#sctp = new SctpHandler(this.#core);
    this.plain = new PlainRoom(this.#core, { ...options.plain, memberNumberCount });
    const handlers = this.plain.with(PROTOCOL_SCTP, this.#sctp);
    this.#dispatcher = new Dispatcher(this.#core, limits, handlers);
    // Before any flow is installed: what an earlier run left says which handles and ports are taken.
    this.#adoption = new Adoption(this.#core, memberNumberCount);
    this.#guard = new EndpointGuard(this.#core, (event) => this.#emit(event));
    this.#strays = new Strays(this.#core, options.confirmRemoved, (id) =>
      this.#guard.endSession(id, "endpointRemoved"),
    );
    this.#housekeeping = new Housekeeping(
      this.#core,
      this.#guard,
      this.#strays,
      this.#adoption,
      this.#dispatcher,
    );
    const follower = new Follower({
      core: this.#core,
      portKeeper: new PortKeeper(natPorts, table, loans),
      adoption: this.#adoption,
      strays: this.#strays,
      guard: this.#guard,
      housekeeping: this.#housekeeping,
      ended: (record) => this.#emit({ kind: "sessionEnded", record }),
    });
    for (const record of table.values()) follower.changed({ previous: undefined, record, origin: "remote" });
    this.#unsubscribe = table.subscribe((change) => follower.changed(change));
    fastPath.onPunt((punt) => {
      if (!this.#stopped) this.#dispatcher.punt(punt);
    });
  }

  get health(): EndpointHealth {
    return this.#core.health;
  }

  isEndpointUp(endpoint: { readonly address: Address; readonly port: number }): boolean {
    return isEndpointUp(this.#core, endpoint);
  }

  addressesOf(endpoint: { readonly address: Address; readonly port: number }): readonly Address[] {
    return this.#core.registry.configuredOf(endpoint);
  }

  sameServerAs(endpoint: { readonly address: Address; readonly port: number }): readonly Address[] {
    return this.#core.registry.twinsOf(endpoint);
  }

  probeDelays(endpoint: { readonly address: Address; readonly port: number }): ProbeDelays | undefined {
    return this.#prober?.delaysOf(endpoint);
  }

  setHosts(hosts: readonly ProbedEndpoint[]): void {
    if (JSON.stringify(hosts) === JSON.stringify(this.#hosts)) return;
    this.#hosts = hosts;
    const { registry, health } = this.#core;
    health.retain([...registry.endpointList(), ...hosts]);
    this.#placeEndpoints();
  }

  setServices(all: readonly Service[]): void {
    this.plain.setServices(all);
    const services = all.filter(({ protocol }) => protocol === PROTOCOL_SCTP);
    const { registry, health, sessions, table, associations } = this.#core;
    this.#guard.beforeServices(services);
    registry.set(services);
    health.retain([...registry.endpointList(), ...this.#hosts]);
    this.#twins.retain(registry.endpointList());
    this.#findTwins();
    this.#place();
    associations.rebuild(table.values());
    for (const local of [...sessions.values()]) {
      const record = table.get(local.id);
      if (record === undefined) sessions.drop(local);
      else {
        moveVips(local, record, registry.get(record.serviceId));
        sessions.noteEndpoint(local, record);
        sessions.refresh(local, record);
      }
    }
    for (const record of table.values()) {
      this.#strays.note(record);
      if (
        record.commit !== undefined &&
        sessions.get(record.id) === undefined &&
        registry.get(record.serviceId)
      ) {
        this.#adoption.claim(record);
        sessions.changed({ previous: undefined, record, origin: "remote" });
      }
    }
  }

  setUnserved(vips: ReadonlySet<Address>): void {
    if (vips.size === this.#unserved.size && [...vips].every((vip) => this.#unserved.has(vip))) return;
    this.#unserved = vips;
    this.#place();
  }

  setOwnership(placements: readonly VipPlacement[]): void {
    this.#placements = placements;
    this.#owned = new Set(placements.filter((p) => p.owned).map((p) => p.vip));
    this.plain.setOwned(this.#owned);
    this.#place();
  }

  start(): void {
    this.#housekeeping.start();
    this.plain.start();
    this.#core.fastPath.start();
  }

  stop(): void {
    this.#stopped = true;
    this.#housekeeping.stop();
    this.#prober?.stop();
    this.plain.stop();
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
  }

  describe(id: SessionId): SessionDescription | undefined {
    return describeSession(this.#core, id);
  }

  get portBooks(): PortBooks {
    return portBooksOf(this.#core);
  }

  counters(): ForwarderCounters {
    const { natPorts, nursery, held, sessions, fastPath } = this.#core;
    const ports = natPorts.counts();
    return {
      events: this.#counters.events,
      drops: this.#counters.drops,
      fastPath: fastPath.totals(),
      sessions: sessions.size,
      embryos: nursery.size,
      heldPackets: held.size,
      natPortsUsed: ports.used,
      natPortsResting: ports.resting,
      natPortsLent: this.#core.loans.lentCount,
    };
  }

  on(listener: (event: ForwarderEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onDrop(listener: ((reason: SlowPathDropReason, packet: Uint8Array | undefined) => void) | undefined): void {
    this.#counters.onDrop = listener;
  }

  onPunt(listener: ((punt: Punt) => void) | undefined): void {
    this.#dispatcher.onPunt = listener;
  }

  onNeighbourSolicitation(listener: ((punt: Punt) => void) | undefined): void {
    this.#dispatcher.onNeighbourSolicitation = listener;
  }

  onVerdict(listener: (change: VerdictChange) => void): () => void {
    return this.#core.health.onVerdict(listener);
  }

  setVerdict(
    endpoint: { address: Address; port: number },
    verdict: Verdict | undefined,
    reason: string,
    gone = false,
    speaks = false,
  ): void {
    this.#core.health.setOwn(endpoint, verdict, reason, this.#core.clock.nowMs(), gone, speaks);
  }

  setOtherVerdict(
    member: MemberName,
    endpoint: { address: Address; port: number },
    verdict: Verdict | undefined,
    speaks = false,
  ): void {
    this.#core.health.setOther(member, endpoint, verdict, this.#core.clock.nowMs(), speaks);
  }

  removeSession(id: SessionId): boolean {
    return this.#guard.endSession(id, "operator") || this.plain.removeFlow(id);
  }

  publish(question: SessionQuestion): void {
    const { nursery } = this.#core;
    this.plain.publish(question);
    for (const embryo of [...nursery.matching(question)]) if (!embryo.published) publish(this.#core, embryo);
  }

  heardLoan(from: number, message: LoanMessage): LendAnswer {
    // Before this member knows what is in use it has nothing to lend.
    if (message.kind === "lend" && !this.#core.isReady()) return "no";
    return this.#core.loans.heard(from, message);
  }

  lenderGone(member: number): void {
    lenderGone(this.#core, member);
  }

  #place(): void {
    const registries = [this.#core.registry, ...this.plain.registries];
    this.#core.fastPath.setLocal(localAddresses(registries, this.#unserved, this.#placements));
    this.#placeEndpoints();
  }

  #placeEndpoints(): void {
    const { registry, fastPath } = this.#core;
    const own = registry.endpointList().map((endpoint) => ({ ...endpoint, protocol: PROTOCOL_SCTP }));
    fastPath.setEndpoints([...own, ...this.plain.endpoints()]);
    if (!this.#stopped) this.#prober?.setEndpoints(probedEndpoints(registry, this.#hosts));
  }

  #proberOf(options: ForwarderOptions): HealthProber | undefined {
    if (options.probes === undefined) return undefined;
    const { channel, settings } = options.probes;
    return new HealthProber({
      channel,
      clock: options.clock,
      random: options.random,
      ...(settings === undefined ? {} : { settings }),
      verdict: (endpoint, verdict, reason, gone, speaks) =>
        this.setVerdict(endpoint, verdict, reason, gone, speaks),
      listed: (address, port, addresses) => {
        if (this.#twins.answered({ address, port }, addresses)) this.#findTwins();
      },
    });
  }

  /** Which endpoints are one server, by what they tell themselves; what changes is said once. */
  #findTwins(): void {
    const { registry, logger } = this.#core;
    const twins = this.#twins.groups(
      registry.endpoints.map(({ address: identity, port }) => ({
        identity,
        port,
        addresses: registry.configuredOf({ address: identity, port }),
      })),
    );
    for (const { address, port } of registry.endpoints) {
      const before = registry.twinsOf({ address, port });
      const after = twins.get(endpointKey({ address, port })) ?? [];
      if (before.join() === after.join()) continue;
      if (after.length === 0) logger.info({ address, port }, "endpoint is a server of its own again");
      else
        logger.warn(
          { address, port, sameServerAs: after },
          "endpoints are one server: they list each other, and are counted and judged as one; write one endpoint with all addresses",
        );
    }
    registry.setTwins(twins);
  }

  #isOwn(address: Address): boolean {
    const isVip = this.#core.registry.isVip(address) || this.plain.isVip(address);
    return isVip || this.#memberAddresses.has(address);
  }

  #emit(event: ForwarderEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

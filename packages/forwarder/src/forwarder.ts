// The forwarder: the data plane of one member behind one object. It observes facts, hands them to the session table,
// and makes the fast path what the table says, whoever observed them.

import type { Address, MemberName, Service, ServiceId, SessionId, SessionQuestion } from "@holdfast/model";
import { MEMBER_NUMBER_COUNT_DEFAULT, memberNumberOfPort, PROTOCOL_SCTP } from "@holdfast/model";
import { Adoption } from "./adoption/adoption.ts";
import { buildCore } from "./build-core.ts";
import type { Core } from "./core.ts";
import { Counters } from "./counters/counters.ts";
import type { SlowPathDropReason } from "./counters/drop-reasons.ts";
import { lenderGone } from "./embryos/ports.ts";
import { publish } from "./embryos/publish.ts";
import { EndpointGuard } from "./endings/endpoint-guard.ts";
import { Strays } from "./endings/strays.ts";
import type { Punt } from "./fast-path/port.ts";
import { probedEndpoints } from "./health/checks.ts";
import { isEndpointUp } from "./health/endpoint-addresses.ts";
import type { EndpointHealth, Verdict, VerdictChange } from "./health/endpoint-health.ts";
import { HealthProber, type ProbeDelays, type ProbedEndpoint } from "./health/prober.ts";
import { findTwins, Twins } from "./health/twins.ts";
import { type Ways, waysOf } from "./health/ways.ts";
import { Housekeeping } from "./housekeeping/housekeeping.ts";
import type { LendAnswer, LoanMessage } from "./nat-ports/lending.ts";
import { type PortBooks, portBooksOf } from "./nat-ports/port-books.ts";
import { PortKeeper } from "./nat-ports/port-keeper.ts";
import type { ForwarderOptions } from "./options.ts";
import { moveVips } from "./path-mapping/moved-vips.ts";
import type { Forwarder, ForwarderCounters, ForwarderEvent } from "./port.ts";
import { localAddresses, type VipPlacement } from "./services/served.ts";
import { describeSession, type SessionDescription } from "./sessions/description.ts";
import { Follower } from "./sessions/follower.ts";
import { Dispatcher } from "./slow-path/dispatcher.ts";
import { PlainRoom, withSharedProbes } from "./slow-path/plain/create.ts";
import { SctpHandler } from "./slow-path/sctp/handler.ts";

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
  #unsubscribe: (() => void) | undefined;
  #stopped = false;
  readonly #prober: HealthProber | undefined;
  readonly #twins = new Twins();

  constructor(options: ForwarderOptions) {
    const memberNumberCount = options.memberNumberCount ?? MEMBER_NUMBER_COUNT_DEFAULT;
    checkNumber(options.memberNumber, memberNumberCount);
    this.#memberAddresses = new Set(options.memberAddresses ?? []);
    this.#core = buildCore(options, memberNumberCount, this.#counters, {
      isOwn: (address) => this.#isOwn(address),
      retry: (input) => this.#sctp.input(input),
      ownsVip: (vip) => this.#owned === undefined || this.#owned.has(vip),
      committed: (record, restart) => this.#emit({ kind: "sessionCommitted", record, restart }),
    });
    this.#prober = this.#proberOf(options);
    this.#core.health.onVerdict((change) => {
      options.logger.info(change, `endpoint is ${change.verdict ?? "not asked any more"}`);
      this.#guard.moveAddresses(change);
    });
    this.#core.health.onSuspicion((endpoint) => this.#prober?.probeNow(endpoint));
    this.#sctp = new SctpHandler(this.#core);
    this.plain = new PlainRoom(this.#core, { ...options.plain, memberNumberCount });
    this.ways.serve(this.plain.proven[0]);
    const handlers = this.plain.with(PROTOCOL_SCTP, this.#sctp);
    this.#dispatcher = new Dispatcher(this.#core, this.#core.limits, handlers);
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
    this.#unsubscribe = this.#follow();
    options.fastPath.onPunt((punt) => {
      if (!this.#stopped) this.#dispatcher.punt(punt);
    });
  }

  get ways(): Ways {
    return this.#core.ways;
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

  addressesFrom(
    service: ServiceId,
    vip: Address,
    endpoint: { readonly address: Address; readonly port: number },
  ): readonly Address[] {
    const { registry } = this.plain.sideOf(service) ?? this.#core;
    return registry.get(service)?.vipIndex.has(vip) === true ? registry.configuredOf(endpoint) : [];
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
    findTwins(this.#core, this.#twins);
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
    this.ways.stop();
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

  /** What the table has, and what becomes of it, whoever observed it. */
  #follow(): () => void {
    const { table, natPorts, loans } = this.#core;
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
    return table.subscribe((change) => follower.changed(change));
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
    if (this.#stopped) return;
    this.#prober?.setEndpoints(probedEndpoints(registry, this.#hosts));
    if (this.#prober !== undefined)
      this.ways.set(
        [{ registry }, ...this.plain.proven].flatMap((each) => waysOf(each, this.#owned, this.#unserved)),
      );
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
        if (this.#twins.answered({ address, port }, addresses)) findTwins(this.#core, this.#twins);
      },
    });
  }

  #isOwn(address: Address): boolean {
    const isVip = this.#core.registry.isVip(address) || this.plain.isVip(address);
    return isVip || this.#memberAddresses.has(address);
  }

  #emit(event: ForwarderEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}

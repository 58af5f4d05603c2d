// What makes parts into a member: ownership made true, services handed around, verdicts shared, readiness
// observed. Everything here works on ports and a clock that are parameters: the daemon gives it the machine,
// a simulation its own.
import type { Announcer } from "@holdfast/announcer";
import { type ClusterView, type Coordinator, type CoordinatorEvent, isPresent } from "@holdfast/coordinator";
import {
  addressesOfEndpoint,
  type Clock,
  type Logger,
  type Members,
  type Service,
  type VipDuty,
} from "@holdfast/model";
import { announcementsOf } from "./cluster/announcer.ts";
import type { ClusterLink } from "./cluster/link.ts";
import type { MemberAddresses } from "./cluster/member-addresses.ts";
import { otherCount, placing } from "./cluster/member-list.ts";
import type { MemberDirectory } from "./cluster/members.ts";
import { placementOf, type Topology } from "./cluster/topology.ts";
import { VerdictExchange } from "./cluster/verdicts.ts";
import type { OwnMember } from "./config/check.ts";
import type { Configuration } from "./config/schema.ts";
import type { DataPlane } from "./data-plane/data-plane.ts";
import { SuccessorHops } from "./data-plane/successors.ts";
import type { EventBus } from "./events/bus.ts";
import { postedHosts } from "./loxilb/posted-endpoints.ts";
import { NetworkFacts } from "./network/facts.ts";
import type { RouterWatch } from "./network/router-watch.ts";
import type { NetworkWatch } from "./network/watch.ts";
import type { Readiness } from "./readiness.ts";
import { announceKeyOf } from "./services/announced.ts";
import { reportClashes, WarningReport } from "./services/clash-report.ts";
import { ClashJudge, type Judgement } from "./services/clashes.ts";
import { FileAtStart } from "./services/file-at-start.ts";
import type { LivingSessions, ServiceRegistry } from "./services/registry.ts";
import { RemovalKeeper, tellRemoval } from "./services/removal-keeper.ts";
import { endpointKey } from "./services/specification.ts";

/** Carrier and next hops of successors are looked at so often. */
const OBSERVE_PERIOD_MS = 200;

export interface MemberParts {
  /** As it is now: a reload replaces it. */
  readonly configuration: () => Configuration;
  readonly own: OwnMember;
  readonly topology: Topology;
  readonly members: Members;
  readonly directory: MemberDirectory;
  readonly network: Pick<NetworkWatch, "interfaces" | "onChange">;
  /** Without it only members tell whether a network reaches anybody. */
  readonly routers?: Pick<RouterWatch, "need" | "isHeard">;
  readonly link: ClusterLink;
  readonly registry: ServiceRegistry;
  readonly sessions: LivingSessions;
  readonly dataPlane: DataPlane;
  readonly announcer: Announcer;
  /** Absent: nobody's addresses are known, and no VIP is one of them. */
  readonly addresses?: Pick<MemberAddresses, "holderOf" | "ownHolderOf" | "onChange">;
  readonly coordinator: Coordinator;
  readonly readiness: Readiness;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of all VIPs that are served, and whether others may not be known yet. */
  readonly host?: { setVips(vips: readonly string[], isComplete: boolean): void } | undefined;
  /** This member announces a VIP that another one had. */
  readonly tookOver?: (cause: "death" | "planned", durationMs: number | undefined) => void;
}

export interface JoinedMember {
  /** Looks at readiness now; it is looked at on every change and every 200 ms, too. */
  observe(): void;
  /** Hands services to forwarder and coordinator anew: the configuration changed. */
  applyServices(): void;
  /** VIPs that are somebody's address, and services that break the rule. */
  clashes(): Judgement;
  close(): void;
}

/** Takes the file's services in; the data plane is not started yet when this returns. */
export function joinMember(parts: MemberParts): JoinedMember {
  const { own, topology, members, directory, network, link, registry, sessions } = parts;
  const { dataPlane, announcer, coordinator, readiness, events, clock, logger, routers } = parts;
  const hops = new SuccessorHops(dataPlane, placing(members, topology), topology);

  // Ownership made true: announced and answered before the others see the claim.
  let duties: readonly VipDuty[] = [];
  const judge = new ClashJudge({
    nowMs: () => clock.nowMs(),
    holderOf: (vip) => parts.addresses?.holderOf(vip),
    ownHolderOf: (vip) => parts.addresses?.ownHolderOf(vip),
    isAnnouncedElsewhere: (vip) =>
      coordinator
        .view()
        .members.some((m) => !m.isSelf && isPresent(m) && m.claims.some((c) => c.vip === vip)),
  });
  let clashing: Judgement = judge.judge([]);
  const warnings = new WarningReport();
  const treatVips = () =>
    dataPlane.setVips(
      duties.map((duty) => ({
        vip: duty.vip,
        owned: duty.owned,
        successor: duty.successor === undefined ? undefined : hops.towards(duty.successor, duty.vip),
      })),
    );
  // The host keeps an address of its own from the moment that it has it, whoever takes the VIP over and when.
  const announce = () =>
    announcer.announce(
      announcementsOf(
        duties.filter(({ vip }) => !clashing.unserved.has(vip)),
        isLeaving(coordinator.view()),
      ),
    );
  coordinator.onDuties(async (next) => {
    duties = next;
    treatVips();
    await announce();
    tellOwners();
  });
  // An INIT-ACK waits for the owners of the service's other VIPs: the endpoint's first HEARTBEAT meets them.
  const tellOwners = () => {
    const present = coordinator
      .view()
      .members.filter(isPresent)
      .map(({ name }) => name);
    const owners = new Map(coordinator.vips().map(({ vip, announcer: owner }) => [vip, owner]));
    for (const service of registry.list()) {
      const numbers = service.vips
        .flatMap((vip) => [
          owners.get(vip),
          // Spread: whoever it is that the endpoint's router chooses.
          ...(service.announce?.spread === true ? present : []),
        ])
        .map((owner) => (owner === undefined ? undefined : directory.numberOf(owner)))
        .filter((number) => number !== undefined);
      link.setOwners(service.id, [...new Set(numbers)]);
    }
  };
  coordinator.onEvent((event) => {
    tell(event);
    if (event.kind === "vipMoved") tellOwners();
    // The other one may have answered ARP for it until now.
    if (event.kind === "vipUncontested") announcer.renew(event.vip);
  });

  function tell(event: CoordinatorEvent): void {
    switch (event.kind) {
      case "vipMoved":
        // Every member sees it; the one that has it now tells.
        if (event.to !== own.name) break;
        if (event.cause !== "first")
          parts.tookOver?.(event.cause, event.cause === "death" ? event.durationMs : undefined);
        events.emit({
          type: "ownership",
          vip: event.vip,
          ...(event.from !== undefined && { from: event.from }),
          to: event.to,
          cause: event.cause,
          message: `VIP ${event.vip} ${event.from === undefined ? "is" : `moved from ${event.from} and is`} with ${event.to} now (${event.cause}, ${Math.round(event.durationMs)} ms).`,
        });
        break;
      case "memberPhase":
        events.emit({
          type: "membership",
          from: event.from,
          to: event.to,
          message: `Member ${event.member} is ${event.to} (was ${event.from}), silent for ${Math.round(event.silentMs)} ms.`,
        });
        break;
      case "accused":
        events.emit({ type: "membership", message: `${event.by} presumed this member dead; it was not.` });
        break;
      case "frozen":
        events.emit({
          type: "membership",
          message: `This process stood still for ${Math.round(event.forMs)} ms; it announces nothing until it knows what happened.`,
        });
        break;
      case "confirmed":
        events.emit({ type: "membership", message: "This member knows again what happened." });
        break;
    }
  }

  const verdicts = new VerdictExchange(link, directory, dataPlane);
  // Services: from the shared configuration to forwarder and coordinator.
  const applyServices = () => {
    const services = judged().map(served);
    const everywhere = parts.configuration().clientPrefixes;
    dataPlane.setServices(
      everywhere.length === 0
        ? services
        : services.map((service) => ({
            ...service,
            clientPrefixes: [...service.clientPrefixes, ...everywhere],
          })),
    );
    const hosts = parts.configuration().loxilb.enabled ? postedHosts(link.store, services) : [];
    dataPlane.setHosts(hosts);
    verdicts.retain([
      ...hosts,
      ...services.flatMap(({ endpoints, leaving = [] }) =>
        [...endpoints, ...leaving].flatMap((endpoint) =>
          addressesOfEndpoint(endpoint).map((address) => ({ address, port: endpoint.port })),
        ),
      ),
    ]);
    coordinator.setServices(
      services.map((service) => placementOf(service, topology, withdrawnReason(parts, service.id))),
      {
        pins: [...link.store.pins()].map(([vip, member]) => ({ vip, member })),
        drains: [...link.store.drainedMembers()],
      },
    );
    tellHost();
    const routes = announceKeyOf(services);
    if (routes !== saidOfRoutes) void announce();
    saidOfRoutes = routes;
  };
  let saidOfRoutes = "";
  const tellHost = () => parts.host?.setVips(servedVips(registry, clashing), link.caughtUp());
  /** What is served of what is configured. */
  const judged = (): readonly Service[] => {
    const before = clashing;
    const all = registry.list();
    clashing = judge.judge(all);
    reportClashes(parts, before, clashing);
    warnings.report(parts, all);
    const unserved = [...clashing.unserved].sort();
    if (unserved.join() !== [...before.unserved].sort().join()) {
      dataPlane.setUnserved(clashing.unserved);
      coordinator.setUnserved(unserved);
      tellHost();
      void announce();
    }
    return clashing.refused.size === 0 ? all : all.filter(({ id }) => !clashing.refused.has(id));
  };
  const file = new FileAtStart(parts);
  file.apply();
  applyServices();
  const unsubscribe = link.store.subscribe(applyServices);
  const keeper = new RemovalKeeper({
    store: link.store,
    sessions,
    clock,
    seesAll: () => link.caughtUp() && link.connected().length >= otherCount(members.current(), own),
    tell: (news) => tellRemoval(parts, news),
  });
  parts.addresses?.onChange(() => judged());
  dataPlane.onHealth(({ address, port, verdict, reason, speaks }) => {
    const endpoint = endpointKey(address, port);
    verdicts.tell({ address, port, verdict, speaks });
    const state = verdict === undefined ? "" : ` ${verdict}:`;
    const rest = speaks ? "; its SCTP answers, its associations go on" : "";
    events.emit({
      type: "service",
      message: `Endpoint ${endpoint} is${state} ${reason}${rest}.`,
      cause: reason,
    });
    if (registry.list().some((service) => service.withdrawWhenDown)) applyServices();
  });

  const networks = new NetworkFacts();
  // Readiness: what this member may be trusted with.
  const observe = () => {
    const now = network.interfaces();
    readiness.set("dataPlane", true, `${dataPlane.mode} is attached`);
    const { fallback } = dataPlane;
    readiness.advise(
      "fastPath",
      fallback === undefined,
      fallback === undefined
        ? "it is the one that the configuration asks for"
        : `${dataPlane.mode} is in use because a faster one does not work here: ${fallback.code}: ${fallback.reason}`,
    );
    const replication = !link.answers()
      ? "its thread does not answer"
      : link.caughtUp()
        ? "this member holds what the others hold"
        : "it still catches up with the others";
    readiness.set("replication", link.caughtUp(), replication);
    const { failure } = link.disk();
    readiness.advise(
      "store",
      failure === undefined,
      failure === undefined
        ? "what must be kept is on disk"
        : `it cannot be written, and is tried again (${failure})`,
    );
    const down = topology.interfaces.filter(({ name }) => !now.has(name)).map(({ name }) => name);
    readiness.set(
      "interfaces",
      topology.interfaces.length === 0 || down.length < topology.interfaces.length,
      down.length === 0 ? "all are up" : `${down.join(", ")}: down or without carrier`,
    );
    routers?.need(isLonely(coordinator.view()));
    // Nobody can take over from a member alone: that its replication hangs is for its service manager and its
    // operator.
    const hangsAlone = members.current().members.length === 1 && !link.answers();
    coordinator.setReadiness({
      ready: hangsAlone ? readiness.readyBut("replication") : readiness.ready,
      caughtUp: hangsAlone || link.caughtUp(),
      networks: networks.facts(topology.interfaces, (name) => ({
        carrier: now.has(name),
        routerHeard: routers?.isHeard(name) ?? false,
      })),
    });
    if (hops.changed()) treatVips();
  };
  const observer = clock.every(OBSERVE_PERIOD_MS, observe);
  network.onChange(observe);
  link.onState(observe);
  link.onState(() => file.again());
  link.onState(tellHost);
  link.onDisconnect((number) => {
    const name = directory.nameOf(number);
    logger.info({ peer: name }, "replication link closed");
    coordinator.hint(name);
  });

  return {
    observe,
    applyServices,
    clashes: () => clashing,
    close() {
      observer.cancel();
      keeper.close();
      unsubscribe();
    },
  };
}

function servedVips(registry: ServiceRegistry, { unserved }: Judgement): string[] {
  return registry.list().flatMap(({ vips }) => vips.filter((vip) => !unserved.has(vip)));
}

/** Why a service's VIPs are not announced; undefined: they are. */
function withdrawnReason({ link, dataPlane }: MemberParts, id: string): string | undefined {
  const service = link.store.service(id);
  if (service?.withdrawWhenDown !== true || service.endpoints.length === 0) return undefined;
  // One that leaves still has its associations.
  const up = [...service.endpoints, ...(service.leaving ?? [])].some(
    ({ address, port }) => dataPlane.endpointHealth(id, endpointKey(address, port)).health !== "down",
  );
  return up ? undefined : "no endpoint is healthy";
}

/** This member drains or stops: it owns nothing new, and serves what still comes. */
function isLeaving({ members }: ClusterView): boolean {
  return members.some(({ isSelf, draining }) => isSelf && draining);
}

/** A service that drains takes nothing new; one that may only be changing is served as before. */
function served(service: Service): Service {
  if (service.removal?.mode !== "drain") return service;
  return { ...service, endpoints: service.endpoints.map((endpoint) => ({ ...endpoint, state: "drain" })) };
}

/** Somewhere no other member is heard, though others live: whose cable it is only strangers can tell. */
function isLonely({ members, unheardNetworks }: ClusterView): boolean {
  return unheardNetworks.length > 0 && members.some((member) => !member.isSelf && isPresent(member));
}

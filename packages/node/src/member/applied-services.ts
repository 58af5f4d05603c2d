// Services: from the shared configuration to forwarder and coordinator, without those that cannot be served.
import { isPresent } from "@holdfast/coordinator";
import type { UnprovenWay, VerdictChange } from "@holdfast/forwarder";
import { type Address, addressesOfEndpoint, type MemberName, type Service } from "@holdfast/model";
import { placementOf } from "../cluster/topology.ts";
import { VerdictExchange } from "../cluster/verdicts.ts";
import { WayExchange } from "../cluster/ways.ts";
import { postedHosts } from "../loxilb/posted-endpoints.ts";
import { announceKeyOf } from "../services/announced.ts";
import { reportClashes, WarningReport } from "../services/clash-report.ts";
import { ClashJudge, type Judgement } from "../services/clashes.ts";
import { endpointKey } from "../services/specification.ts";
import type { MemberParts } from "./parts.ts";

export class AppliedServices {
  readonly #parts: MemberParts;
  readonly #judge: ClashJudge;
  readonly #warnings = new WarningReport();
  readonly #verdicts: VerdictExchange;
  readonly #announce: () => Promise<void>;
  #clashing: Judgement;
  #saidOfRoutes = "";
  /** The last other member that announced a VIP. */
  readonly #announcers = new Map<Address, MemberName>();

  /** `announce`: what is announced follows from services, too. */
  constructor(parts: MemberParts, announce: () => Promise<void>) {
    const { clock, addresses, coordinator, link, directory, dataPlane } = parts;
    this.#parts = parts;
    this.#announce = announce;
    this.#judge = new ClashJudge({
      nowMs: () => clock.nowMs(),
      holderOf: (vip) => addresses?.holderOf(vip),
      ownHolderOf: (vip) => addresses?.ownHolderOf(vip),
      isAnnouncedElsewhere: (vip) =>
        coordinator
          .view()
          .members.some((m) => !m.isSelf && isPresent(m) && m.claims.some((c) => c.vip === vip)),
      wasAnnouncedBy: (vip, member) => this.#announcers.get(vip) === member,
    });
    const self = coordinator.view().self;
    coordinator.onEvent((event) => {
      if (event.kind !== "vipMoved") return;
      for (const member of [event.from, event.to])
        if (member !== undefined && member !== self) this.#announcers.set(event.vip, member);
    });
    this.#clashing = this.#judge.judge([]);
    this.#verdicts = new VerdictExchange(link, directory, dataPlane);
    new WayExchange(link, directory, dataPlane.ways, (before, after) => tellWays(parts, before, after));
    addresses?.onChange(() => this.#judged());
    dataPlane.onHealth((change) => {
      const { address, port, verdict, speaks } = change;
      this.#verdicts.tell({ address, port, verdict, speaks });
      this.#tell(change, speaks ? "; its SCTP answers, its associations go on" : "");
    });
    dataPlane.onPlainHealth((change) => this.#tell(change, ""));
  }

  /** What an endpoint is now; VIPs may go with it. */
  #tell({ address, port, verdict, reason }: VerdictChange, rest: string): void {
    const { events, registry } = this.#parts;
    const state = verdict === undefined ? "" : ` ${verdict}:`;
    events.emit({
      type: "service",
      message: `Endpoint ${endpointKey(address, port)} is${state} ${reason}${rest}.`,
      cause: reason,
    });
    if (registry.list().some((service) => service.withdrawWhenDown)) this.apply();
  }

  /** VIPs that are somebody's address, and services that break the rule. */
  get clashing(): Judgement {
    return this.#clashing;
  }

  apply(): void {
    const { dataPlane, coordinator, link, topology, configuration } = this.#parts;
    const services = this.#judged().map(served);
    const everywhere = configuration().clientPrefixes;
    dataPlane.setServices(
      everywhere.length === 0
        ? services
        : services.map((service) => ({
            ...service,
            clientPrefixes: [...service.clientPrefixes, ...everywhere],
          })),
    );
    this.#follow(services);
    coordinator.setServices(
      services.map((service) => placementOf(service, topology, withdrawnReason(this.#parts, service.id))),
      {
        pins: [...link.store.pins()].map(([vip, member]) => ({ vip, member })),
        drains: [...link.store.drainedMembers()],
      },
    );
    this.tellHost();
    const routes = announceKeyOf(services);
    if (routes !== this.#saidOfRoutes) void this.#announce();
    this.#saidOfRoutes = routes;
  }

  tellHost(): void {
    const { host, registry, link } = this.#parts;
    const { unserved } = this.#clashing;
    const vips = registry
      .list()
      .flatMap((service) => [...service.vips, ...(service.sourceAddresses ?? [])])
      .filter((vip) => !unserved.has(vip));
    host?.setVips(vips, link.caughtUp());
  }

  /** Hosts and endpoints whose health is looked at, here and elsewhere. */
  #follow(services: readonly Service[]): void {
    const { configuration, link, dataPlane } = this.#parts;
    const hosts = configuration().loxilb.enabled ? postedHosts(link.store, services) : [];
    dataPlane.setHosts(hosts);
    this.#verdicts.retain([
      ...hosts,
      ...services.flatMap(({ endpoints, leaving = [] }) =>
        [...endpoints, ...leaving].flatMap((endpoint) =>
          addressesOfEndpoint(endpoint).map((address) => ({ address, port: endpoint.port })),
        ),
      ),
    ]);
  }

  /** What is served of what is configured. */
  #judged(): readonly Service[] {
    const { registry, dataPlane, coordinator } = this.#parts;
    const before = this.#clashing;
    const all = registry.list();
    const vips = new Set(all.flatMap((service) => service.vips));
    for (const vip of this.#announcers.keys()) if (!vips.has(vip)) this.#announcers.delete(vip);
    this.#clashing = this.#judge.judge(all);
    reportClashes(this.#parts, before, this.#clashing);
    this.#warnings.report(this.#parts, all);
    const unserved = [...this.#clashing.unserved].sort();
    if (unserved.join() !== [...before.unserved].sort().join()) {
      dataPlane.setUnserved(this.#clashing.unserved);
      coordinator.setUnserved(unserved);
      this.tellHost();
      void this.#announce();
    }
    const { refused } = this.#clashing;
    return refused.size === 0 ? all : all.filter(({ id }) => !refused.has(id));
  }
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

/** A service that drains takes nothing new; one that may only be changing is served as before. */
function served(service: Service): Service {
  if (service.removal?.mode !== "drain") return service;
  return { ...service, endpoints: service.endpoints.map((endpoint) => ({ ...endpoint, state: "drain" })) };
}

/** Ways that became unproven, and those that were. */
function tellWays(
  { events }: MemberParts,
  before: readonly UnprovenWay[],
  after: readonly UnprovenWay[],
): void {
  const isIn = (list: readonly UnprovenWay[], { protocol, vip, address, port }: UnprovenWay) =>
    list.some(
      (way) => way.protocol === protocol && way.vip === vip && way.address === address && way.port === port,
    );
  const tell = (way: UnprovenWay, text: string, cause: string) =>
    events.emit({
      type: "service",
      message: `The way of ${way.vip} to endpoint ${endpointKey(way.address, way.port)} ${text}.`,
      cause,
    });
  for (const way of after)
    if (!isIn(before, way)) tell(way, `is unproven: ${way.reason}`, "no answer came back");
  for (const way of before)
    if (!isIn(after, way)) tell(way, "is not unproven any more", "an answer came back");
}

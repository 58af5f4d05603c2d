// The composition root: puts the parts together for one configuration, and takes them apart again.
import { randomBytes } from "node:crypto";
import type { Announcer } from "@holdfast/announcer";
import { type Coordinator, type CoordinatorEvent, startCoordinator } from "@holdfast/coordinator";
import { type Clock, HoldfastError, type SessionRecord, systemClock, type VipDuty } from "@holdfast/model";
import { type ApiListeners, readToken, startApi } from "./api/listen.ts";
import type { ApiSources } from "./api/sources.ts";
import { announceOnly, openAnnouncer } from "./cluster/announcer.ts";
import { CounterExchange } from "./cluster/counters.ts";
import type { ClusterLink } from "./cluster/link.ts";
import { MemberDirectory } from "./cluster/members.ts";
import { openLink } from "./cluster/open-link.ts";
import { readSecret } from "./cluster/secret.ts";
import { clusterNetworks, placedMembers, placementOf, type Topology } from "./cluster/topology.ts";
import { VerdictExchange } from "./cluster/verdicts.ts";
import { type OwnMember, otherMembers, ownMember } from "./config/check.ts";
import type { LoadedConfiguration } from "./config/load.ts";
import { checkReload } from "./config/reload.ts";
import type { Configuration } from "./config/schema.ts";
import type { DataPlane } from "./data-plane/data-plane.ts";
import { openDataPlane } from "./data-plane/open.ts";
import { SuccessorHops } from "./data-plane/successors.ts";
import { createEventBus } from "./events/bus.ts";
import { lockDataPlane } from "./lock.ts";
import { createLogger, type DaemonLogger } from "./log.ts";
import { Deletions } from "./loxilb/deletions.ts";
import { startLoxilb } from "./loxilb/server.ts";
import { createMetrics } from "./metrics/registry.ts";
import { workingInterfaces } from "./network/interfaces.ts";
import { NetworkWatch } from "./network/watch.ts";
import { Readiness } from "./readiness.ts";
import { createServiceRegistry } from "./services/registry.ts";
import { endpointKey } from "./services/specification.ts";
import { SessionCatalogue } from "./sessions/catalogue.ts";
import { createTraceHub } from "./trace/hub.ts";
import { HOLDFAST_VERSION } from "./version.ts";

/** Carrier and next hops of successors are looked at so often. */
const OBSERVE_PERIOD_MS = 200;

export interface Daemon {
  readonly own: OwnMember;
  /** Where the API listens, with the ports that the kernel chose. */
  readonly apiAddresses: readonly string[];
  /** Applies a new configuration whole, or throws CONFIG_CHANGE_NEEDS_RESTART and applies nothing. */
  reload(loaded: LoadedConfiguration): void;
  /** Hands VIPs over, then stops; the data plane stays when the configuration says so. */
  stop(): Promise<void>;
}

export interface DaemonOptions {
  readonly clock?: Clock;
  readonly logger?: DaemonLogger;
  /** A part failed beyond repair after the start; the process must end. The data plane goes on. */
  readonly onFatal: (error: Error) => void;
}

export async function startDaemon(loaded: LoadedConfiguration, options: DaemonOptions): Promise<Daemon> {
  let configuration = loaded.configuration;
  const own = ownMember(configuration);
  const clock = options.clock ?? systemClock;
  const startedAtMs = clock.wallMs();
  const logger =
    options.logger ??
    createLogger({ cluster: configuration.cluster.id, self: own.name }, configuration.log.level);
  // What was opened is closed in reverse, also when the start fails half-way.
  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async () => {
    for (const close of closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        logger.error({ err: error }, "a part did not stop cleanly");
      }
    }
  };
  try {
    return await compose();
  } catch (error) {
    await closeAll();
    throw error;
  }

  async function compose(): Promise<Daemon> {
    closers.push(await lockDataPlane(configuration.dataPlane.pinDirectory));
    let token = readToken(configuration.api);
    for (const variable of loaded.unknownVariables)
      logger.warn({ variable }, "this environment variable names no field of the configuration");

    const events = createEventBus(own.name, clock);
    const trace = createTraceHub();
    const network = new NetworkWatch(clock, logger);
    closers.push(() => network.close());
    const system = network.interfaces();
    const topology: Topology = { interfaces: workingInterfaces(configuration, system), system };
    const members = placedMembers(configuration, topology);
    const directory = new MemberDirectory(members, own);
    const readiness = new Readiness(logger);

    const link: ClusterLink = await openLink({ configuration, own, network, clock, logger });
    closers.push(() => link.stop());
    const registry = createServiceRegistry(link.store, own.name);

    let metrics: ReturnType<typeof createMetrics>;
    const catalogue = new SessionCatalogue(link.table, clock, {
      ended(record: SessionRecord) {
        const cause = record.end?.cause ?? "unknown";
        metrics?.sessionEnded(cause);
        events.emit({
          type: "session",
          message: `Session ${record.id} ended: ${cause}.`,
          session: record.id,
          service: record.serviceId,
          cause,
        });
      },
    });
    closers.push(() => catalogue.close());

    const dataPlane: DataPlane = await openDataPlane({
      configuration,
      own,
      topology,
      network,
      link,
      trace,
      clock,
      logger,
    });
    closers.push(() => dataPlane.stop(configuration.dataPlane.keepInstalled));
    logger.info(
      { fastPath: dataPlane.mode, interfaces: topology.interfaces.map((i) => i.name) },
      "data plane is open",
    );

    const announcer: Announcer = openAnnouncer({ configuration, topology, network, clock, logger });
    closers.push(() => announcer.stop());

    const coordinator: Coordinator = await startCoordinator({
      self: own.name,
      members,
      secret: readSecret(configuration) ?? randomBytes(32),
      minimumMembers: configuration.coordinator.minimumMembers,
      clusterNetworks: clusterNetworks(topology.interfaces),
      timing: {
        probeIntervalMs: configuration.coordinator.probeIntervalMs,
        missedProbesMax: configuration.coordinator.missedCountMax,
      },
      clock,
      logger,
      ...(dataPlane.signOfLife !== undefined && { signOfLife: dataPlane.signOfLife }),
      onFatal: options.onFatal,
    });
    let left = false;
    closers.push(() => (left ? undefined : coordinator.close()));

    const hops = new SuccessorHops(dataPlane, members, topology);
    const counters = new CounterExchange(link, dataPlane, directory);

    metrics = createMetrics({
      version: HOLDFAST_VERSION,
      member: own.name,
      registry,
      catalogue,
      events,
      fastPathMode: () => dataPlane.mode,
      fastPathTotals: () => dataPlane.fastPathTotals(),
      slowPathEvents: () => dataPlane.slowPathEvents(),
      slowPathDrops: () => dataPlane.slowPathDrops(),
      slowPathGauges: () => dataPlane.slowPathGauges(),
      endpointHealth: (service, endpoint) => dataPlane.endpointHealth(service, endpoint),
      ready: () => readiness.ready,
      ownedVipCount: () => coordinator.duties().filter((duty) => duty.owned).length,
      membersAlive: () =>
        coordinator.view().members.filter((m) => m.phase === "alive" || m.phase === "suspect").length,
      membersConfigured: () => members.length,
      replication: () => link.metrics(),
    });
    closers.push(() => metrics.close());

    // Ownership made true: announced and answered before the others see the claim.
    let duties: readonly VipDuty[] = [];
    const treatVips = () =>
      dataPlane.setVips(
        duties.map((duty) => ({
          vip: duty.vip,
          owned: duty.owned,
          successor: duty.successor === undefined ? undefined : hops.towards(duty.successor, duty.vip),
        })),
      );
    coordinator.onDuties(async (next) => {
      duties = next;
      treatVips();
      announceOnly(
        announcer,
        next.filter((duty) => duty.owned).map((duty) => duty.vip),
      );
      tellOwners();
    });
    // An INIT-ACK waits for the owners of the service's other VIPs: the endpoint's first HEARTBEAT meets them.
    const tellOwners = () => {
      const owners = new Map(coordinator.vips().map(({ vip, announcer: owner }) => [vip, owner]));
      for (const service of registry.list()) {
        const numbers = service.vips
          .map((vip) => owners.get(vip))
          .map((owner) => (owner === undefined ? undefined : directory.numberOf(owner)))
          .filter((number) => number !== undefined);
        link.setOwners(service.id, [...new Set(numbers)]);
      }
    };
    coordinator.onEvent((event) => {
      tell(event);
      if (event.kind === "vipMoved") tellOwners();
      // The other one may have answered ARP for it until now.
      if (event.kind === "vipUncontested") announcer.announce(event.vip);
    });

    function tell(event: CoordinatorEvent): void {
      switch (event.kind) {
        case "vipMoved":
          if (event.to === own.name && event.cause !== "first")
            metrics.takeOver(event.cause, event.cause === "death" ? event.durationMs : undefined);
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
          events.emit({ type: "membership", message: `${event.by} held this member for dead; it was not.` });
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
      const services = registry.list();
      const everywhere = configuration.clientPrefixes;
      dataPlane.setServices(
        everywhere.length === 0
          ? services
          : services.map((service) => ({
              ...service,
              clientPrefixes: [...service.clientPrefixes, ...everywhere],
            })),
      );
      verdicts.retain(services.flatMap((service) => service.endpoints));
      coordinator.setServices(
        services.map((service) => placementOf(service, topology, withdrawnReason(service.id))),
        {
          pins: [...link.store.pins()].map(([vip, member]) => ({ vip, member })),
          drains: [...link.store.drainedMembers()],
        },
      );
    };
    const withdrawnReason = (id: string): string | undefined => {
      const service = link.store.service(id);
      if (service?.withdrawWhenDown !== true || service.endpoints.length === 0) return undefined;
      const up = service.endpoints.some(
        ({ address, port }) =>
          dataPlane.endpointHealth(id, `${address.includes(":") ? `[${address}]` : address}:${port}`)
            .health !== "down",
      );
      return up ? undefined : "no endpoint is healthy";
    };
    registry.applyFile(configuration.services);
    applyServices();
    const unsubscribe = link.store.subscribe(applyServices);
    closers.push(unsubscribe);
    dataPlane.onHealth((place, up, reason) => {
      const endpoint = endpointKey(place.address, place.port);
      verdicts.tell({ ...place, verdict: up ? "up" : "down" });
      events.emit({
        type: "service",
        message: `Endpoint ${endpoint} is ${up ? "up" : "down"}: ${reason}.`,
        cause: reason,
      });
      if (registry.list().some((service) => service.withdrawWhenDown)) applyServices();
    });

    // Readiness: what this member may be trusted with.
    const observe = () => {
      const now = network.interfaces();
      readiness.set("dataPlane", true, `${dataPlane.mode} is attached`);
      readiness.set(
        "replication",
        link.caughtUp(),
        link.caughtUp() ? "this member holds what the others hold" : "it still catches up with the others",
      );
      const down = topology.interfaces.filter(({ name }) => !now.has(name)).map(({ name }) => name);
      readiness.set(
        "interfaces",
        topology.interfaces.length === 0 || down.length < topology.interfaces.length,
        down.length === 0 ? "all are up" : `${down.join(", ")}: down or without carrier`,
      );
      coordinator.setReadiness({
        ready: readiness.ready,
        caughtUp: link.caughtUp(),
        networks: topology.interfaces.map(({ name, network }) => ({ network, carrier: now.has(name) })),
      });
      if (hops.changed()) treatVips();
    };
    const observer = clock.every(OBSERVE_PERIOD_MS, observe);
    closers.push(() => observer.cancel());
    network.onChange(observe);
    link.onState(observe);
    link.onDisconnect((number) => {
      const name = directory.nameOf(number);
      logger.info({ peer: name }, "replication link closed");
      coordinator.hint(name);
    });

    await dataPlane.start();

    const announcementsOf = (vip: string) => {
      const found = announcer.announced().find((announced) => announced.vip === vip);
      if (found === undefined) return [];
      const since = new Date(clock.wallMs() - (clock.nowMs() - found.sinceMs)).toISOString();
      return (found.interfaces.length > 0 ? found.interfaces : ["-"]).map((name) => ({
        interface: name,
        kind: announcer.kind,
        since,
      }));
    };
    const sources: ApiSources = {
      logger,
      clock,
      version: HOLDFAST_VERSION,
      registry,
      table: link.table,
      catalogue,
      events,
      trace,
      metrics: metrics.registry,
      status: () => {
        const now = network.interfaces();
        return {
          member: own.name,
          cluster: configuration.cluster.id,
          version: HOLDFAST_VERSION,
          fastPath: dataPlane.mode,
          interfaces: topology.interfaces.map(({ name, roles }) => ({
            name,
            roles: [...roles],
            up: now.has(name),
          })),
          sessions: link.table.size,
          startedAt: new Date(startedAtMs).toISOString(),
          pid: process.pid,
        };
      },
      health: () => readiness.health(own.name, HOLDFAST_VERSION),
      ownerships: () => coordinator.vips().map((vip) => ({ ...vip, owner: vip.announcer })),
      ownershipOf: (vip) => {
        const found = coordinator.vips().find((ownership) => ownership.vip === vip);
        return found === undefined ? undefined : { ...found, owner: found.announcer };
      },
      announcementsOf: (vip) => announcementsOf(vip),
      members: () => directory.views(coordinator, link, registry),
      setMemberDrained(name, drained) {
        if (!members.some((member) => member.name === name))
          throw new HoldfastError("MEMBER_NOT_FOUND", { member: name });
        link.store.setMemberDrained(name, drained);
        logger.info({ peer: name, drained }, drained ? "member drains" : "member takes part again");
        events.emit({
          type: "membership",
          message: `Member ${name} ${drained ? "drains" : "takes part again"}.`,
        });
      },
      memberNameOf: (number) => directory.nameOf(number),
      memberNumberOf: (text) => directory.numberOf(text),
      endpointHealth: (service, endpoint) => dataPlane.endpointHealth(service, endpoint),
      removeSession(id) {
        if (!dataPlane.removeSession(id)) throw new HoldfastError("SESSION_NOT_FOUND", { session: id });
        logger.info({ session: id }, "session removed by an operator");
      },
      countersOf: (record) => counters.of(record),
      replicationOf: async (record) =>
        (await link.replicasOf(record)).map(({ member, ...rest }) => ({
          member: directory.nameOf(member),
          ...rest,
        })),
    };
    const api: ApiListeners = await startApi(sources, configuration.api, () => token, logger);
    closers.push(() => api.close());
    if (configuration.loxilb.enabled) {
      const deletions = new Deletions({
        registry,
        link,
        clock,
        logger,
        graceMs: () => configuration.loxilb.changeGraceMs,
      });
      const loxilb = await startLoxilb(
        { sources, link, counters, deletions, logger, configuration: () => configuration },
        { events: () => dataPlane.slowPathEvents(), drops: () => dataPlane.slowPathDrops() },
      );
      closers.push(() => loxilb.close());
    }
    observe();
    logger.info(
      {
        version: HOLDFAST_VERSION,
        members: otherMembers(configuration).length + 1,
        services: registry.list().length,
      },
      "member runs",
    );

    return {
      own,
      apiAddresses: api.addresses,
      reload(next) {
        const fields = checkReload(configuration, next.configuration);
        const nextToken = readToken(next.configuration.api);
        registry.applyFile(next.configuration.services);
        configuration = next.configuration;
        applyServices();
        token = nextToken;
        logger.setLevel(configuration.log.level);
        logger.info({ fields }, fields.length === 0 ? "reload: nothing changed" : "reload: applied");
      },
      async stop() {
        logger.info({}, "stopping: handing VIPs over");
        readiness.set("stopping", false, "this member stops");
        const outcome = await coordinator.drain({ timeoutMs: configuration.stop.drainTimeoutMs });
        logger.info({ outcome }, "VIPs are handed over");
        left = true;
        await coordinator.leave();
        await closeAll();
        logger.info(
          { dataPlane: configuration.dataPlane.keepInstalled ? "kept" : "removed" },
          "member stopped",
        );
      },
    };
  }
}

/** Names of the configuration's parts that a test may want. */
export type { Configuration };

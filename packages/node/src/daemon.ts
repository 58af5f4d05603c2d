// The composition root: puts the parts together for one configuration, and takes them apart again.
import { randomBytes } from "node:crypto";
import { type Coordinator, startCoordinator } from "@holdfast/coordinator";
import { type Clock, HoldfastError, MemberBook, systemClock } from "@holdfast/model";
import { isRevoked } from "@holdfast/sync";
import { announcementViews } from "./api/announcement-views.ts";
import { type ApiListeners, readTokens, startApi } from "./api/listen.ts";
import { nodeStatus } from "./api/node-status.ts";
import type { ApiSources } from "./api/sources.ts";
import { openAnnouncer } from "./cluster/announcer.ts";
import { CERTIFICATE_LOOK_PERIOD_MS, CertificateKeeper } from "./cluster/certificates.ts";
import { CounterExchange } from "./cluster/counters.ts";
import { followWithLinks, followWithProbes } from "./cluster/follow-members.ts";
import { joinAddresses } from "./cluster/join-addresses.ts";
import type { ClusterLink } from "./cluster/link.ts";
import { MemberAddresses } from "./cluster/member-addresses.ts";
import { listedInFile, othersOf, placing } from "./cluster/member-list.ts";
import { MemberDirectory } from "./cluster/members.ts";
import { openNews, watchTakeOvers } from "./cluster/news.ts";
import { openLink } from "./cluster/open-link.ts";
import { ownReport } from "./cluster/own-report.ts";
import { credentialsOf } from "./cluster/probe-credentials.ts";
import { ReportExchange } from "./cluster/reports.ts";
import { Revocations } from "./cluster/revocations.ts";
import { tellRouterEvents } from "./cluster/router-events.ts";
import { flappingRouters } from "./cluster/routers.ts";
import { readSecrets, SecretWatch } from "./cluster/secret.ts";
import { clusterNetworks, liveTopology, type Topology } from "./cluster/topology.ts";
import { MAIN_SILENT_MAX_MS, type OwnMember, ownMember } from "./config/check.ts";
import type { LoadedConfiguration } from "./config/load.ts";
import { checkReload } from "./config/reload.ts";
import type { Configuration } from "./config/schema.ts";
import type { DataPlane } from "./data-plane/data-plane.ts";
import { limitsOf } from "./data-plane/limits.ts";
import { openDataPlane } from "./data-plane/open.ts";
import { createEventBus } from "./events/bus.ts";
import { sessionEndEvents } from "./events/session-ends.ts";
import { configuredLoop, openHost } from "./host/open.ts";
import { lockDataPlane, lockStore } from "./lock.ts";
import { createLogger, type DaemonLogger } from "./log.ts";
import { Deletions } from "./loxilb/deletions.ts";
import { PostedRouters } from "./loxilb/routing.ts";
import { startLoxilb } from "./loxilb/server.ts";
import { type JoinedMember, joinMember } from "./member.ts";
import { MembersKeeper } from "./members/keeper.ts";
import { NumberRest, numberRestMs } from "./members/number-rest.ts";
import { farewellsOf, membershipOrders } from "./members/orders.ts";
import { createMetrics } from "./metrics/registry.ts";
import { servingInterfaces } from "./network/interfaces.ts";
import { openRouterWatch } from "./network/router-watch.ts";
import { NetworkWatch } from "./network/watch.ts";
import { Readiness } from "./readiness.ts";
import { tellOutcome } from "./services/file-at-start.ts";
import { createPlacementOrders } from "./services/placement-orders.ts";
import { createServiceRegistry } from "./services/registry.ts";
import { livingSessions, SessionCatalogue } from "./sessions/catalogue.ts";
import { createTraceHub } from "./trace/hub.ts";
import { HOLDFAST_VERSION } from "./version.ts";

/** What a stop takes beside the draining. */
const STOP_GRACE_MS = 15_000;

export interface Daemon {
  readonly own: OwnMember;
  /** Where the API listens, with the ports that the kernel chose. */
  readonly apiAddresses: readonly string[];
  /** Whatever the daemon cannot be without gives signs of life. */
  isAlive(): boolean;
  /** One line for people: ready or not, VIPs, sessions. */
  summary(): string;
  /** How long a stop may take. */
  readonly stopLimitMs: number;
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
  /** Pinned flows that cannot be carried over are given up; without it they are an error. */
  readonly discardFlows?: boolean;
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

  function keepsInstalled(): boolean {
    return configuration.dataPlane.keepInstalled;
  }

  async function compose(): Promise<Daemon> {
    closers.push(lockDataPlane(configuration.dataPlane.pinDirectory));
    closers.push(lockStore(configuration.store.directory));
    let tokens = readTokens(configuration.api);
    for (const variable of loaded.unknownVariables)
      logger.warn({ variable }, "this environment variable names no field of the configuration");

    const events = createEventBus(own.name, clock);
    const trace = createTraceHub();
    const loop = configuredLoop(configuration);
    const network = new NetworkWatch(clock, logger, loop);
    closers.push(() => network.close());
    const topology: Topology = liveTopology(configuration, network);
    const members = new MemberBook(listedInFile(configuration, topology));
    const placed = placing(members, topology);
    const directory = new MemberDirectory(placed, own);
    const readiness = new Readiness(logger);
    // A member that owns a VIP can be asked: no VIP before the API listens.
    readiness.set("api", false, "the API does not listen yet");
    const host = await openHost({
      ...{ configuration, own, readiness, clock, logger },
      servingInterfaces: () => servingInterfaces(topology.interfaces).map(({ name }) => name),
      hasInterface: (name) => network.link(name) !== undefined,
    });
    // Behind the data plane, whose programs hang on it.
    closers.push(() => (keepsInstalled() ? undefined : host.removeLoop()));

    const certificates =
      configuration.cluster.certificates === undefined
        ? undefined
        : new CertificateKeeper({ configuration, own, clock, logger });
    let tls = await certificates?.load();
    let probes: Coordinator | undefined;
    const link: ClusterLink = await openLink({
      configuration,
      own,
      members,
      join: joinAddresses(configuration),
      network,
      tls,
      clock,
      logger,
    });
    closers.push(() => link.stop());
    closers.push(followWithLinks(members, link, clock));
    const keeper = new MembersKeeper({
      own,
      book: members,
      link,
      join: joinAddresses(configuration),
      admitsCertified: configuration.cluster.admit === "certificate",
      ports: {
        probePort: configuration.coordinator.probePort,
        replicationPort: configuration.replication.port,
      },
      settleMs: limitsOf(configuration).initTimeoutMs,
      clock,
      logger,
      events,
      onStanding: (isMember, detail) => readiness.set("membership", isMember, detail),
    });
    closers.push(() => keeper.close());
    const addresses = new MemberAddresses({
      self: own.name,
      network,
      link,
      directory,
      members,
      clock,
    });
    closers.push(() => addresses.close());
    link.onFailed(options.onFatal);
    const news = openNews(own, link, clock, events);
    closers.push(() => news.close());
    certificates?.watch(
      (next) => {
        link.setTls(next);
        tls = next;
        probes?.setCredentials({ ...next, clusterId: configuration.cluster.id });
      },
      ({ ok, detail }) => readiness.advise("certificate", ok, detail),
    );
    closers.push(() => certificates?.close());
    let metrics: ReturnType<typeof createMetrics>;
    let member: JoinedMember | undefined;
    const tellEnd = sessionEndEvents(clock, (facts) => events.emit(facts));
    const catalogue = new SessionCatalogue(link.sessions.all, clock, {
      ended(record, origin) {
        metrics?.sessionEnded(record.end?.cause ?? "unknown");
        // Every member learns of it; the one that saw it tells.
        if (origin === "local") tellEnd(record);
      },
    });
    closers.push(() => catalogue.close());
    const sessions = livingSessions(catalogue, () => link.caughtUp());
    const registry = createServiceRegistry(link.store, own.name, addresses, {
      sessions,
      clock,
      ...othersOf(members, own, link),
    });
    const dataPlane: DataPlane = await openDataPlane({
      ...(options.discardFlows !== undefined && { discardFlows: options.discardFlows }),
      configuration,
      own,
      members,
      topology,
      network,
      loop,
      link,
      trace,
      isMember: () => keeper.isMember,
      reservedNumbers: () => keeper.reservedNumbers,
      isMemberAddress: (address) => addresses.isMembers(address),
      clock,
      logger,
    });
    closers.push(() => dataPlane.stop(keepsInstalled()));
    closers.push(() => host.preparation?.close(keepsInstalled()));
    logger.info(
      { fastPath: dataPlane.mode, interfaces: topology.interfaces.map((i) => i.name) },
      "data plane is open",
    );

    const announcing = await openAnnouncer({
      ...{ configuration, topology, network, clock, logger },
      services: () => registry.list(),
    });
    const { announcer } = announcing;
    closers.push(tellRouterEvents(announcer, events));
    closers.push(() => announcer.stop());

    const secrets = readSecrets(configuration);
    const coordinator: Coordinator = await startCoordinator({
      self: own.name,
      members: placed(),
      secret: secrets[0] ?? randomBytes(32),
      otherSecrets: secrets.slice(1),
      minimumMembers: configuration.coordinator.minimumMembers,
      clusterNetworks: clusterNetworks(topology.interfaces),
      timing: {
        probeIntervalMs: configuration.coordinator.probeIntervalMs,
        missedProbesMax: configuration.coordinator.missedCountMax,
        mainSilentMaxMs: MAIN_SILENT_MAX_MS,
      },
      clock,
      logger,
      ...(dataPlane.signOfLife !== undefined && { signOfLife: dataPlane.signOfLife }),
      ...(tls !== undefined && {
        credentials: credentialsOf({ ...tls, clusterId: configuration.cluster.id }),
      }),
      onFatal: options.onFatal,
    });
    let left = false;
    probes = coordinator;
    const secretWatch = new SecretWatch(
      { configuration: () => configuration, apply: (next) => coordinator.setSecrets(next), logger },
      secrets,
    );
    const secretLook = clock.every(CERTIFICATE_LOOK_PERIOD_MS, () => secretWatch.look());
    closers.push(() => secretLook.cancel());
    closers.push(followWithProbes(members, placed, coordinator, logger));
    const revocations = new Revocations(link.store, clock);
    closers.push(
      revocations.follow((entries) => {
        link.setRevoked(entries);
        coordinator.setRevoked(entries);
        const own = tls !== undefined && isRevoked(tls.certificatePem, entries);
        readiness.set(
          "certificate-revoked",
          !own,
          own
            ? "this member's certificate is revoked: issue a new one, if it is to take part again"
            : "it is not revoked",
        );
      }),
    );
    closers.push(() => (left ? undefined : coordinator.close()));

    const rest = new NumberRest({
      list: () => members.current(),
      table: link.table,
      memberNumberCount: configuration.cluster.memberNumberCount,
      restMs: numberRestMs(limitsOf(configuration)),
      slot: (number) => dataPlane.portBooks.slot(number),
      clock,
    });
    closers.push(() => rest.close());

    const counters = new CounterExchange(link, dataPlane, directory, clock);
    closers.push(() => counters.close());

    const takeOvers = watchTakeOvers({
      self: own.name,
      news,
      coordinator,
      link,
      registry,
      catalogue,
      dataPlane,
      clock,
    });
    closers.push(() => takeOvers.close());
    metrics = createMetrics({
      version: HOLDFAST_VERSION,
      member: own.name,
      registry,
      catalogue,
      events,
      fastPathMode: () => dataPlane.mode,
      fastPathStatus: () => dataPlane.status(),
      fastPathTotals: () => dataPlane.fastPathTotals(),
      slowPathEvents: () => dataPlane.slowPathEvents(),
      slowPathDrops: () => dataPlane.slowPathDrops(),
      slowPathGauges: () => dataPlane.slowPathGauges(),
      endpointHealth: (service, endpoint) => dataPlane.endpointHealth(service, endpoint),
      ready: () => readiness.ready,
      routers: () => announcer.routers(),
      speakerRestarts: () => announcer.counters().speakerRestarts,
      ownedVipCount: () => coordinator.duties().filter((duty) => duty.owned).length,
      membersAlive: () =>
        coordinator.view().members.filter((m) => m.phase === "alive" || m.phase === "suspect").length,
      membersConfigured: () => members.current().members.length,
      replication: () => link.metrics(),
      disk: () => link.disk(),
      probesRefused: () => coordinator.counters()?.refused ?? {},
      vipClashes: () => member?.clashes().clashes ?? new Map(),
      certificate: () => certificates?.state(),
    });
    closers.push(() => metrics.close());

    const routers = openRouterWatch({ members, registry, network, clock, logger });
    closers.push(() => routers?.close());

    const joined = joinMember({
      configuration: () => configuration,
      own,
      topology,
      members,
      directory,
      network,
      ...(routers !== undefined && { routers }),
      link,
      registry,
      sessions,
      dataPlane,
      announcer,
      addresses,
      coordinator,
      readiness,
      events,
      clock,
      logger,
      host: host.preparation,
      tookOver: (cause, durationMs) => metrics.takeOver(cause, durationMs),
    });
    member = joined;
    closers.push(() => joined.close());

    await dataPlane.start();

    const announcements = () => announcementViews(announcer, clock);
    const status = nodeStatus({
      ...{ own, configuration, startedAtMs, topology, network, link, dataPlane, host },
    });
    const reports = new ReportExchange(link, directory, clock, () =>
      ownReport({
        own,
        configuration: () => configuration,
        startedAtMs,
        version: HOLDFAST_VERSION,
        readiness,
        topology,
        network,
        link,
        dataPlane,
        announcer,
        announcements,
        clock,
      }),
    );
    const orders = createPlacementOrders({
      store: link.store,
      registry,
      events,
      logger,
      isMember: (name) => members.current().members.some((member) => member.name === name),
    });
    keeper.attach({ rest, loans: dataPlane.portBooks, farewells: farewellsOf(link.store, coordinator) });
    const sources: ApiSources = {
      logger,
      clock,
      version: HOLDFAST_VERSION,
      registry,
      configurationKept: () => link.storeKept(),
      table: link.table,
      sessions: link.sessions,
      catalogue,
      events,
      eventLog: news.eventLog,
      takeOvers: () => takeOvers.list(),
      reports: () => reports.collect(),
      memberOrigins: () => new Set(reports.origins()),
      memberNumberCount: () => configuration.cluster.memberNumberCount,
      trace,
      metrics: metrics.registry,
      status,
      health: () => readiness.health(own.name, HOLDFAST_VERSION),
      routers: () => announcer.routers(),
      ownerships: () => coordinator.vips().map((vip) => ({ ...vip, owner: vip.announcer })),
      ownershipOf: (vip) => {
        const found = coordinator.vips().find((ownership) => ownership.vip === vip);
        return found === undefined ? undefined : { ...found, owner: found.announcer };
      },
      announcements,
      revocations,
      clashes: () => joined.clashes(),
      members: () => directory.views(coordinator, link, registry),
      orders,
      membership: membershipOrders(keeper, members, configuration),
      memberNameOf: (number) => directory.nameOf(number),
      memberNumberOf: (text) => directory.numberOf(text),
      endpointHealth: (service, endpoint) => dataPlane.endpointHealth(service, endpoint),
      removeSession(id) {
        if (!dataPlane.removeSession(id)) throw new HoldfastError("SESSION_NOT_FOUND", { session: id });
        logger.info({ session: id }, "session removed by an operator");
      },
      countersOf: (record) => counters.of(record),
      replicationOf: async (id) =>
        (await link.replicasOf(id)).map(({ member, ...rest }) => ({
          member: directory.nameOf(member),
          ...rest,
        })),
    };
    const api: ApiListeners = await startApi(sources, configuration.api, () => tokens, logger);
    closers.push(() => api.close());
    const apiTlsLook = clock.every(CERTIFICATE_LOOK_PERIOD_MS, () => api.lookAtTls());
    closers.push(() => apiTlsLook.cancel());
    if (configuration.loxilb.enabled) {
      const deletions = new Deletions({
        registry,
        logger,
        graceMs: () => configuration.loxilb.changeGraceMs,
      });
      const loxilb = await startLoxilb(
        {
          ...{ sources, link, counters, deletions, logger, configuration: () => configuration },
          ...(announcing.posted !== undefined && { routers: new PostedRouters(announcing.posted) }),
        },
        { events: () => dataPlane.slowPathEvents(), drops: () => dataPlane.slowPathDrops() },
      );
      closers.push(() => loxilb.close());
    }
    readiness.set("api", true, "the API listens");
    joined.observe();
    logger.info(
      {
        version: HOLDFAST_VERSION,
        members: members.current().members.length,
        services: registry.list().length,
      },
      "member runs",
    );

    return {
      own,
      apiAddresses: api.addresses,
      isAlive: () => link.answers(),
      summary() {
        const owned = coordinator.duties().filter((duty) => duty.owned).length;
        const state = readiness.missing === undefined ? "ready" : `not ready: ${readiness.missing}`;
        return `${state}; ${owned} VIPs owned, ${link.table.size} sessions, ${dataPlane.mode}`;
      },
      get stopLimitMs() {
        return configuration.stop.drainTimeoutMs + STOP_GRACE_MS;
      },
      reload(next) {
        const fields = checkReload(configuration, next.configuration);
        const nextTokens = readTokens(next.configuration.api);
        const ending = flappingRouters(configuration, next.configuration);
        if (ending.length > 0 && announcer.announced().some(({ rank }) => rank === 0))
          throw new HoldfastError("CONFIG_CHANGE_NEEDS_DRAIN", { routers: ending.join(", ") });
        // Reads passwords, and may refuse: before anything is changed.
        const tellRouters = announcing.prepare(next.configuration);
        const outcome = registry.applyFile(next.configuration.services, {
          removed: next.configuration.removedServices,
        });
        tellOutcome({ logger, events }, outcome);
        tellRouters();
        configuration = next.configuration;
        joined.applyServices();
        tokens = nextTokens;
        logger.setLevel(configuration.log.level);
        void certificates?.look(true);
        secretWatch.look();
        api.lookAtTls();
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

// What others may ask: reports between members, the API, and LoxiLB's port when it is wanted.
import { HoldfastError } from "@holdfast/model";
import { announcementViews } from "../api/announcement-views.ts";
import { type ApiListeners, startApi, type Tokens } from "../api/listen.ts";
import { nodeStatus } from "../api/node-status.ts";
import type { ApiSources } from "../api/sources.ts";
import { CERTIFICATE_LOOK_PERIOD_MS } from "../cluster/certificates.ts";
import { ownReport } from "../cluster/own-report.ts";
import { ReportExchange } from "../cluster/reports.ts";
import { Deletions } from "../loxilb/deletions.ts";
import { PostedRouters } from "../loxilb/routing.ts";
import { startLoxilb } from "../loxilb/server.ts";
import { farewellsOf, membershipOrders } from "../members/orders.ts";
import { createPlacementOrders } from "../services/placement-orders.ts";
import { HOLDFAST_VERSION } from "../version.ts";
import type { StageContext } from "./context.ts";
import type { ServingStage, Stages } from "./serving.ts";

export async function openApi(
  context: StageContext,
  stages: Stages & { readonly serving: ServingStage },
  tokens: () => Tokens,
): Promise<ApiListeners> {
  const { clock, logger, closers, configuration } = context;
  const { cluster, forwarding, coordination, machine, serving } = stages;
  cluster.keeper.attach({
    rest: coordination.rest,
    loans: forwarding.dataPlane.portBooks,
    farewells: farewellsOf(cluster.link.store, coordination.coordinator),
  });
  const sources = sourcesOf(context, stages);
  const api = await startApi(sources, configuration().api, tokens, logger);
  closers.add(() => api.close());
  const tlsLook = clock.every(CERTIFICATE_LOOK_PERIOD_MS, () => api.lookAtTls());
  closers.add(() => tlsLook.cancel());
  if (configuration().loxilb.enabled) await openLoxilb(context, stages, sources);
  machine.readiness.set("api", true, "the API listens");
  serving.member.observe();
  return api;
}

function sourcesOf(context: StageContext, stages: Stages & { readonly serving: ServingStage }): ApiSources {
  const { own, clock, logger, configuration, startedAtMs } = context;
  const { machine, cluster, forwarding, coordination, serving } = stages;
  const { topology, network, members, directory, readiness, events, trace, host } = machine;
  const { link, news, keeper } = cluster;
  const { registry, catalogue, dataPlane, announcer } = forwarding;
  const { coordinator, revocations, takeOvers } = coordination;
  const announcements = () => announcementViews(announcer, clock);
  const report = { own, configuration, startedAtMs, readiness, topology, network, link, dataPlane };
  const reports = new ReportExchange(link, directory, clock, () =>
    ownReport({ ...report, version: HOLDFAST_VERSION, announcer, announcements, clock }),
  );
  const isMember = (name: string) => members.current().members.some((member) => member.name === name);
  return {
    ...{ logger, clock, version: HOLDFAST_VERSION, registry, catalogue, events, trace, announcements },
    ...{ table: link.table, sessions: link.sessions, revocations },
    configurationKept: () => link.storeKept(),
    eventLog: news.eventLog,
    takeOvers: () => takeOvers.list(),
    reports: () => reports.collect(),
    memberOrigins: () => new Set(reports.origins()),
    memberNumberCount: () => configuration().cluster.memberNumberCount,
    metrics: serving.metrics.registry,
    status: nodeStatus({
      ...{ own, configuration: configuration(), startedAtMs, topology, network, link, dataPlane, host },
    }),
    health: () => readiness.health(own.name, HOLDFAST_VERSION),
    routers: () => announcer.routers(),
    ownerships: () => coordinator.vips().map((vip) => ({ ...vip, owner: vip.announcer })),
    ownershipOf: (vip) => {
      const found = coordinator.vips().find((ownership) => ownership.vip === vip);
      return found === undefined ? undefined : { ...found, owner: found.announcer };
    },
    clashes: () => serving.member.clashes(),
    members: () => directory.views(coordinator, link, registry),
    orders: createPlacementOrders({ store: link.store, registry, events, logger, isMember }),
    membership: membershipOrders(keeper, members, configuration(), registry, topology),
    memberNameOf: (number) => directory.nameOf(number),
    memberNumberOf: (text) => directory.numberOf(text),
    endpointHealth: (service, endpoint) => dataPlane.endpointHealth(service, endpoint),
    ...sessionSources(context, stages),
  };
}

/** What is done to single sessions, and asked of them elsewhere. */
function sessionSources({ logger }: StageContext, { machine, cluster, forwarding, coordination }: Stages) {
  return {
    removeSession(id: string) {
      if (!forwarding.dataPlane.removeSession(id))
        throw new HoldfastError("SESSION_NOT_FOUND", { session: id });
      logger.info({ session: id }, "session removed by an operator");
    },
    countersOf: (record) => coordination.counters.of(record),
    replicationOf: async (id) =>
      (await cluster.link.replicasOf(id)).map(({ member, ...rest }) => ({
        member: machine.directory.nameOf(member),
        ...rest,
      })),
  } satisfies Partial<ApiSources>;
}

async function openLoxilb(
  { configuration, logger, closers }: StageContext,
  { cluster, forwarding, coordination }: Stages,
  sources: ApiSources,
): Promise<void> {
  const { registry, announcing, dataPlane } = forwarding;
  const deletions = new Deletions({
    registry,
    logger,
    graceMs: () => configuration().loxilb.changeGraceMs,
  });
  const loxilb = await startLoxilb(
    {
      ...{ sources, link: cluster.link, counters: coordination.counters, deletions, logger, configuration },
      ...(announcing.posted !== undefined && { routers: new PostedRouters(announcing.posted) }),
    },
    { events: () => dataPlane.slowPathEvents(), drops: () => dataPlane.slowPathDrops() },
  );
  closers.add(() => loxilb.close());
}

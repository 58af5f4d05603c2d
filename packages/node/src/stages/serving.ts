// The member at work: metrics, routers' watch, and what makes parts into a member; then the data plane
// starts.
import { UnheardMembers } from "../cluster/unheard.ts";
import { type JoinedMember, joinMember } from "../member.ts";
import { createMetrics } from "../metrics/registry.ts";
import { openRouterWatch } from "../network/router-watch.ts";
import type { Judgement } from "../services/clashes.ts";
import { HOLDFAST_VERSION } from "../version.ts";
import type { ClusterStage } from "./cluster.ts";
import type { StageContext } from "./context.ts";
import type { CoordinationStage } from "./coordination.ts";
import type { ForwardingStage } from "./forwarding.ts";
import type { MachineStage } from "./machine.ts";

export interface Stages {
  readonly machine: MachineStage;
  readonly cluster: ClusterStage;
  readonly forwarding: ForwardingStage;
  readonly coordination: CoordinationStage;
}

export type ServingStage = Awaited<ReturnType<typeof openServing>>;

export async function openServing(context: StageContext, stages: Stages) {
  const { own, clock, logger, closers, configuration } = context;
  const { network, topology, members, placed, directory, readiness, events, host } = stages.machine;
  const { link, addresses } = stages.cluster;
  const { registry, sessions, dataPlane, announcer } = stages.forwarding;
  const { coordinator } = stages.coordination;
  let member: JoinedMember | undefined;
  const metrics = metricsOf(context, stages, () => member?.clashes().clashes ?? new Map());
  closers.add(() => metrics.close());
  const routers = openRouterWatch({ members, registry, network, clock, logger });
  closers.add(() => routers?.close());
  const joined = joinMember({
    ...{ configuration, own, topology, members, directory, network, link, registry, sessions },
    ...{ dataPlane, announcer, addresses, coordinator, readiness, events, clock, logger },
    ...(routers !== undefined && { routers }),
    host: host.preparation,
    tookOver: (cause, durationMs) => metrics.takeOver(cause, durationMs),
  });
  member = joined;
  closers.add(() => joined.close());
  const parts = { own, placed, link, coordinator, readiness, events, clock, logger };
  const unheard = new UnheardMembers(parts);
  closers.add(() => unheard.close());
  await dataPlane.start();
  return { metrics, member: joined };
}

function metricsOf(
  { own }: StageContext,
  { machine, cluster, forwarding, coordination }: Stages,
  vipClashes: () => Judgement["clashes"],
) {
  const { events, members, readiness } = machine;
  const { link, certificates } = cluster;
  const { registry, catalogue, dataPlane, announcer } = forwarding;
  const { coordinator } = coordination;
  return createMetrics({
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
    vipClashes,
    certificate: () => certificates?.state(),
  });
}

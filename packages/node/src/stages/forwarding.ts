// Services and packets: the catalogue of sessions, the registry of services, the data plane and the
// announcer.
import type { Protocol } from "@holdfast/model";
import { openAnnouncer } from "../cluster/announcer.ts";
import { othersOf } from "../cluster/member-list.ts";
import { tellRouterEvents } from "../cluster/router-events.ts";
import type { DataPlane } from "../data-plane/data-plane.ts";
import { openDataPlane } from "../data-plane/open.ts";
import { sessionEndEvents } from "../events/session-ends.ts";
import { createServiceRegistry } from "../services/registry.ts";
import { livingSessions, SessionCatalogue } from "../sessions/catalogue.ts";
import type { ClusterStage } from "./cluster.ts";
import { keepsInstalled, type StageContext } from "./context.ts";
import type { MachineStage } from "./machine.ts";

export type ForwardingStage = Awaited<ReturnType<typeof openForwarding>>;

export async function openForwarding(
  context: StageContext,
  machine: MachineStage,
  cluster: ClusterStage,
  /** Told of each session that ends, with the cause. */
  onSessionEnded: (protocol: Protocol, cause: string) => void,
) {
  const { own, clock, logger, closers } = context;
  const { events, network, topology, members } = machine;
  const { link, addresses } = cluster;
  const tellEnd = sessionEndEvents(clock, (facts) => events.emit(facts));
  const catalogue = new SessionCatalogue(link.sessions.all, clock, {
    ended(record, origin) {
      onSessionEnded(record.protocol, record.end?.cause ?? "unknown");
      // Every member learns of it; the one that saw it tells.
      if (origin === "local") tellEnd(record);
    },
  });
  closers.add(() => catalogue.close());
  const sessions = livingSessions(catalogue, () => link.caughtUp());
  const registry = createServiceRegistry(link.store, own.name, addresses, {
    sessions,
    clock,
    ...othersOf(members, own, link),
  });
  const dataPlane = await dataPlaneOf(context, machine, cluster);
  closers.add(() => dataPlane.stop(keepsInstalled(context)));
  closers.add(() => machine.host.preparation?.close(keepsInstalled(context)));
  logger.info(
    { fastPath: dataPlane.mode, interfaces: topology.interfaces.map((i) => i.name) },
    "data plane is open",
  );
  const announcing = await openAnnouncer({
    ...{ configuration: context.configuration(), topology, network, clock, logger },
    services: () => registry.list(),
  });
  const { announcer } = announcing;
  closers.add(tellRouterEvents(announcer, events), () => announcer.stop());
  return { catalogue, sessions, registry, dataPlane, announcing, announcer };
}

function dataPlaneOf(
  context: StageContext,
  { members, topology, network, loop, trace }: MachineStage,
  { link, keeper, addresses }: ClusterStage,
): Promise<DataPlane> {
  const { own, clock, logger, discardFlows } = context;
  return openDataPlane({
    ...{ own, members, topology, network, loop, link, trace, clock, logger, discardFlows },
    configuration: context.configuration(),
    isMember: () => keeper.isMember,
    reservedNumbers: () => keeper.reservedNumbers,
    isMemberAddress: (address) => addresses.isMembers(address),
  });
}

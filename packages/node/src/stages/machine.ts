// The machine: what this member locks, sees and prepares before it talks to anybody.
import { MemberBook } from "@holdfast/model";
import { listedInFile, placing } from "../cluster/member-list.ts";
import { MemberDirectory } from "../cluster/members.ts";
import { liveTopology, type Topology } from "../cluster/topology.ts";
import { createEventBus } from "../events/bus.ts";
import { configuredLoop, openHost } from "../host/open.ts";
import { lockDataPlane, lockStore } from "../lock.ts";
import { servingInterfaces } from "../network/interfaces.ts";
import { NetworkWatch } from "../network/watch.ts";
import { Readiness } from "../readiness.ts";
import { createTraceHub } from "../trace/hub.ts";
import { keepsInstalled, type StageContext } from "./context.ts";

export type MachineStage = Awaited<ReturnType<typeof openMachine>>;

export async function openMachine(context: StageContext) {
  const { own, clock, logger, closers } = context;
  const configuration = context.configuration();
  closers.add(lockDataPlane(configuration.dataPlane.pinDirectory));
  closers.add(lockStore(configuration.store.directory));
  const loop = configuredLoop(configuration);
  const network = new NetworkWatch(clock, logger, loop);
  closers.add(() => network.close());
  const topology: Topology = liveTopology(configuration, network);
  const members = new MemberBook(listedInFile(configuration, topology));
  const placed = placing(members, topology);
  const readiness = new Readiness(logger);
  // A member that owns a VIP can be asked: no VIP before the API listens.
  readiness.set("api", false, "the API does not listen yet");
  const host = await openHost({
    ...{ configuration, own, readiness, clock, logger },
    servingInterfaces: () => servingInterfaces(topology.interfaces).map(({ name }) => name),
    hasInterface: (name) => network.link(name) !== undefined,
  });
  // Behind the data plane, whose programs hang on it.
  closers.add(() => (keepsInstalled(context) ? undefined : host.removeLoop()));
  return {
    events: createEventBus(own.name, clock),
    trace: createTraceHub(),
    loop,
    network,
    topology,
    members,
    placed,
    directory: new MemberDirectory(placed, own),
    readiness,
    host,
  };
}

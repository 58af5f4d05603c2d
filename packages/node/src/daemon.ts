// The composition root: puts the parts together for one configuration, stage by stage, and takes them apart
// again.
import { type Clock, HoldfastError, systemClock } from "@holdfast/model";
import { type ApiListeners, readTokens, type Tokens } from "./api/listen.ts";
import { Closers } from "./closers.ts";
import { flappingRouters } from "./cluster/routers.ts";
import { type OwnMember, ownMember } from "./config/check.ts";
import type { LoadedConfiguration } from "./config/load.ts";
import { checkReload } from "./config/reload.ts";
import type { Configuration } from "./config/schema.ts";
import { createLogger, type DaemonLogger } from "./log.ts";
import { tellOutcome } from "./services/file-at-start.ts";
import { openApi } from "./stages/api.ts";
import { openCluster } from "./stages/cluster.ts";
import type { StageContext } from "./stages/context.ts";
import { openCoordination } from "./stages/coordination.ts";
import { openForwarding } from "./stages/forwarding.ts";
import { openMachine } from "./stages/machine.ts";
import { openServing, type ServingStage, type Stages } from "./stages/serving.ts";
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

/** What a reload replaces. */
interface Settings {
  configuration: Configuration;
  tokens: Tokens;
}

export async function startDaemon(loaded: LoadedConfiguration, options: DaemonOptions): Promise<Daemon> {
  const { configuration } = loaded;
  const own = ownMember(configuration);
  const clock = options.clock ?? systemClock;
  const logger =
    options.logger ??
    createLogger({ cluster: configuration.cluster.id, self: own.name }, configuration.log.level);
  const settings: Settings = { configuration, tokens: readTokens(configuration.api) };
  const context: StageContext = {
    configuration: () => settings.configuration,
    own,
    clock,
    logger,
    startedAtMs: clock.wallMs(),
    closers: new Closers(logger),
    onFatal: options.onFatal,
    discardFlows: options.discardFlows === true,
  };
  for (const variable of loaded.unknownVariables)
    logger.warn({ variable }, "this environment variable names no field of the configuration");
  try {
    return await compose(context, settings);
  } catch (error) {
    await context.closers.close();
    throw error;
  }
}

/** Each stage stands on those before it, and is taken apart before them. */
async function compose(context: StageContext, settings: Settings): Promise<Daemon> {
  let serving: ServingStage | undefined;
  const machine = await openMachine(context);
  const cluster = await openCluster(context, machine);
  const forwarding = await openForwarding(context, machine, cluster, (protocol, cause) =>
    serving?.metrics.sessionEnded(protocol, cause),
  );
  const coordination = await openCoordination(context, machine, cluster, forwarding);
  const stages = { machine, cluster, forwarding, coordination };
  serving = await openServing(context, stages);
  const api = await openApi(context, { ...stages, serving }, () => settings.tokens);
  context.logger.info(
    {
      version: HOLDFAST_VERSION,
      members: machine.members.current().members.length,
      services: forwarding.registry.list().length,
    },
    "member runs",
  );
  return daemonOf(context, settings, { ...stages, serving }, api);
}

function daemonOf(
  context: StageContext,
  settings: Settings,
  stages: Stages & { readonly serving: ServingStage },
  api: ApiListeners,
): Daemon {
  const { own, logger, closers } = context;
  const { machine, cluster, forwarding, coordination } = stages;
  const { coordinator } = coordination;
  return {
    own,
    apiAddresses: api.addresses,
    isAlive: () => cluster.link.answers(),
    summary() {
      const { readiness } = machine;
      const owned = coordinator.duties().filter((duty) => duty.owned).length;
      const state = readiness.missing === undefined ? "ready" : `not ready: ${readiness.missing}`;
      return `${state}; ${owned} VIPs owned, ${cluster.link.sessions.size} sessions, ${forwarding.dataPlane.mode}`;
    },
    get stopLimitMs() {
      return settings.configuration.stop.drainTimeoutMs + STOP_GRACE_MS;
    },
    reload: (next) => reload(context, settings, stages, api, next),
    async stop() {
      logger.info({}, "stopping: handing VIPs over");
      machine.readiness.set("stopping", false, "this member stops");
      const outcome = await coordinator.drain({ timeoutMs: settings.configuration.stop.drainTimeoutMs });
      logger.info({ outcome }, "VIPs are handed over");
      await coordination.leave();
      await closers.close();
      const kept = settings.configuration.dataPlane.keepInstalled;
      logger.info({ dataPlane: kept ? "kept" : "removed" }, "member stopped");
    },
  };
}

function reload(
  { logger }: StageContext,
  settings: Settings,
  { machine, cluster, forwarding, coordination, serving }: Stages & { readonly serving: ServingStage },
  api: ApiListeners,
  next: LoadedConfiguration,
): void {
  const { announcer, announcing, registry } = forwarding;
  const fields = checkReload(settings.configuration, next.configuration);
  const tokens = readTokens(next.configuration.api);
  const ending = flappingRouters(settings.configuration, next.configuration);
  if (ending.length > 0 && announcer.announced().some(({ rank }) => rank === 0))
    throw new HoldfastError("CONFIG_CHANGE_NEEDS_DRAIN", { routers: ending.join(", ") });
  // Reads passwords, and may refuse: before anything is changed.
  const tellRouters = announcing.prepare(next.configuration);
  const outcome = registry.applyFile(next.configuration.services, {
    removed: next.configuration.removedServices,
  });
  tellOutcome({ logger, events: machine.events }, outcome);
  tellRouters();
  settings.configuration = next.configuration;
  serving.member.applyServices();
  settings.tokens = tokens;
  logger.setLevel(settings.configuration.log.level);
  void cluster.certificates?.look(true);
  coordination.secretWatch.look();
  api.lookAtTls();
  logger.info({ fields }, fields.length === 0 ? "reload: nothing changed" : "reload: applied");
}

/** Names of the configuration's parts that a test may want. */
export type { Configuration };

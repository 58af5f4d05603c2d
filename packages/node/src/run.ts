// `holdfast run`: a daemon in the foreground with its signals, and with what its service manager wants to
// know.
import { HoldfastError } from "@holdfast/model";
import { ownMember } from "./config/check.ts";
import { ConfigurationError, loadConfiguration } from "./config/load.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { onReload } from "./hang-ups.ts";
import { exitNow, giveMemoryBack } from "./libc.ts";
import { createLogger, type DaemonLogger } from "./log.ts";
import { ServiceManager } from "./service-manager.ts";
import { START_HELD_MS, StartPause } from "./start-pause.ts";

/** A second SIGTERM does not wait any longer. */
const EXIT_IMPATIENT = 130;
/** A bug of ours, or a part that cannot be started again (EX_SOFTWARE). */
const EXIT_FATAL = 70;
const STATUS_PERIOD_MS = 1_000;
/** After that nothing more is loaded or compiled. */
const START_SETTLED_MS = 8_000;

/** Runs until SIGTERM or SIGINT; resolves to the exit code. Throws coded errors when it cannot start. */
export async function runDaemon(options: {
  readonly file: string | undefined;
  /** Pinned flows that cannot be carried over are given up. */
  readonly discardFlows?: boolean;
}): Promise<number> {
  const manager = new ServiceManager();
  const pause = new StartPause(process.env["RUNTIME_DIRECTORY"]?.split(":", 1)[0], Date.now());
  await wait(pause, manager);
  const loaded = loadConfiguration(options.file);
  const { configuration } = loaded;
  const own = ownMember(configuration);
  const logger = createLogger({ cluster: configuration.cluster.id, self: own.name }, configuration.log.level);
  return new Promise((resolve, reject) => {
    let daemon: Daemon | undefined;
    let stopping = false;
    const keepAlive = setInterval(() => {}, 1 << 30);
    const held = setTimeout(() => pause.forget(), START_HELD_MS);
    const fatal = (error: Error) => {
      // Our own bug: stop at once. The data plane goes on without this process, and the next start adopts it.
      logger.error({ err: error }, "stopping on an error of our own");
      exitNow(EXIT_FATAL);
    };
    const stop = (signal: string) => {
      if (stopping) exitNow(EXIT_IMPATIENT);
      stopping = true;
      logger.info({ signal }, "signal received");
      pause.forget();
      manager.stopping(daemon?.stopLimitMs ?? 0);
      if (daemon !== undefined) end(daemon).then(() => finish(0), fatal);
      // Still starting: what is open is closed by the start's own end.
      else process.exit(0);
    };
    const onHangUp = () => {
      if (stopping) return;
      manager.reloading(process.hrtime.bigint());
      reload(daemon, options.file, logger, fatal);
      manager.ready();
    };
    const onTerm = () => stop("SIGTERM");
    const onInterrupt = () => stop("SIGINT");
    process.on("SIGTERM", onTerm);
    process.on("SIGINT", onInterrupt);
    process.on("uncaughtException", fatal);
    const beats: NodeJS.Timeout[] = [];
    const finish = (code: number) => {
      clearInterval(keepAlive);
      clearTimeout(held);
      for (const beat of beats) clearInterval(beat);
      process.off("SIGTERM", onTerm);
      process.off("SIGINT", onInterrupt);
      process.off("uncaughtException", fatal);
      resolve(code);
    };
    startDaemon(loaded, {
      logger,
      onFatal: fatal,
      ...(options.discardFlows !== undefined && { discardFlows: options.discardFlows }),
    }).then(
      (started) => {
        daemon = started;
        beats.push(...tell(manager, started));
        onReload(onHangUp);
      },
      (error: unknown) => {
        reject(error);
        finish(1);
      },
    );
  });
}

async function end(daemon: Daemon): Promise<void> {
  await daemon.stop();
  // A thread that hangs is not waited for: this process has given everything away.
  if (!daemon.isAlive()) exitNow(0);
}

async function wait(pause: StartPause, manager: ServiceManager): Promise<void> {
  const { pauseMs, failedCount } = pause;
  if (pauseMs === 0) return;
  manager.takesLonger(pauseMs + 90_000);
  manager.status(`waiting ${pauseMs / 1_000} s: the last ${failedCount} starts failed`);
  await new Promise((resolve) => setTimeout(resolve, pauseMs));
}

/**
 * It serves, and goes on saying that it lives: a hung main loop says nothing, a hung engine is not said to
 * live.
 */
function tell(manager: ServiceManager, daemon: Daemon): NodeJS.Timeout[] {
  manager.ready();
  const status = () => manager.status(daemon.summary());
  status();
  const beats = [setInterval(status, STATUS_PERIOD_MS), setTimeout(giveMemoryBack, START_SETTLED_MS)];
  const { beatMs } = manager;
  if (beatMs !== undefined) {
    const beat = () => {
      if (daemon.isAlive()) manager.alive();
    };
    beat();
    beats.push(setInterval(beat, beatMs));
  }
  return beats;
}

function reload(
  daemon: Daemon | undefined,
  file: string | undefined,
  logger: DaemonLogger,
  fatal: (error: Error) => void,
): void {
  try {
    daemon?.reload(loadConfiguration(file));
  } catch (error) {
    if (!(error instanceof HoldfastError)) {
      fatal(error as Error);
      return;
    }
    const all = error instanceof ConfigurationError ? error.all : [error];
    for (const { code, message, remedy } of all) logger.error({ code, remedy }, `reload refused: ${message}`);
  }
}

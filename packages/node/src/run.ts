// `holdfast run`: a daemon in the foreground with its signals.
import { HoldfastError } from "@holdfast/model";
import { ownMember } from "./config/check.ts";
import { ConfigurationError, loadConfiguration } from "./config/load.ts";
import { type Daemon, startDaemon } from "./daemon.ts";
import { createLogger } from "./log.ts";

/** A second SIGTERM does not wait any longer. */
const EXIT_IMPATIENT = 130;

/** Runs until SIGTERM or SIGINT; resolves to the exit code. Throws coded errors when it cannot start. */
export async function runDaemon(options: { readonly file: string | undefined }): Promise<number> {
  const loaded = loadConfiguration(options.file);
  const { configuration } = loaded;
  const own = ownMember(configuration);
  const logger = createLogger({ cluster: configuration.cluster.id, self: own.name }, configuration.log.level);
  return new Promise((resolve, reject) => {
    let daemon: Daemon | undefined;
    let stopping = false;
    const keepAlive = setInterval(() => {}, 1 << 30);
    const fatal = (error: Error) => {
      // Our own bug: stop at once. The data plane goes on without this process, and the next start adopts it.
      logger.error({ err: error }, "stopping on an error of our own");
      process.exit(70);
    };
    const stop = (signal: string) => {
      if (stopping) process.exit(EXIT_IMPATIENT);
      stopping = true;
      logger.info({ signal }, "signal received");
      if (daemon !== undefined) daemon.stop().then(() => finish(0), fatal);
      // Still starting: what is open is closed by the start's own end.
      else process.exit(0);
    };
    const reload = () => {
      try {
        if (daemon !== undefined) daemon.reload(loadConfiguration(options.file));
      } catch (error) {
        if (!(error instanceof HoldfastError)) return fatal(error as Error);
        const all = error instanceof ConfigurationError ? error.all : [error];
        for (const { code, message, remedy } of all)
          logger.error({ code, remedy }, `reload refused: ${message}`);
      }
    };
    const onTerm = () => stop("SIGTERM");
    const onInterrupt = () => stop("SIGINT");
    process.on("SIGTERM", onTerm);
    process.on("SIGINT", onInterrupt);
    process.on("SIGHUP", reload);
    process.on("uncaughtException", fatal);
    const finish = (code: number) => {
      clearInterval(keepAlive);
      process.off("SIGTERM", onTerm);
      process.off("SIGINT", onInterrupt);
      process.off("SIGHUP", reload);
      process.off("uncaughtException", fatal);
      resolve(code);
    };
    startDaemon(loaded, { logger, onFatal: fatal }).then(
      (started) => {
        daemon = started;
      },
      (error: unknown) => {
        reject(error);
        finish(1);
      },
    );
  });
}

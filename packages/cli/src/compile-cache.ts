// Compiled modules are kept on disk: the next start of a daemon takes half the processor time, and a member
// that restarts is away for less. Whoever can write there runs code as the daemon, so only a directory of its
// own will do.
import { lstatSync, mkdirSync } from "node:fs";
import { constants, enableCompileCache, flushCompileCache } from "node:module";
import { join } from "node:path";

const ROOT_DIRECTORY = "/var/cache/holdfast";
const OTHERS_MAY_WRITE = 0o022;
/** A daemon that is killed writes nothing at its end: it writes once when it surely runs. */
const FLUSH_AFTER_MS = 5_000;

/**
 * `CACHE_DIRECTORY` (systemd's) or root's own; `NODE_COMPILE_CACHE` has been obeyed by Node itself before.
 */
export function keepCompiled(environment: NodeJS.ProcessEnv = process.env): void {
  if (environment["NODE_COMPILE_CACHE"] === undefined) {
    const parent = environment["CACHE_DIRECTORY"] ?? (process.geteuid?.() === 0 ? ROOT_DIRECTORY : undefined);
    const directory = parent === undefined ? undefined : ownDirectory(join(parent, "compiled"));
    if (directory === undefined) return;
    if (enableCompileCache(directory).status === constants.compileCacheStatus.FAILED) return;
    // Worker threads read the variable.
    environment["NODE_COMPILE_CACHE"] = directory;
  }
  setTimeout(flushCompileCache, FLUSH_AFTER_MS).unref();
}

/** undefined: it cannot be made, or is not this user's alone. */
export function ownDirectory(path: string): string | undefined {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const found = lstatSync(path);
    const own =
      found.isDirectory() && found.uid === process.geteuid?.() && (found.mode & OTHERS_MAY_WRITE) === 0;
    return own ? path : undefined;
  } catch {
    return undefined; // a read-only machine starts as fast as it can
  }
}

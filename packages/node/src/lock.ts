// One daemon for one data plane, and one for one store. The lock is on the directory that it protects, seen
// from whatever network or mount namespace; the kernel frees it when the process ends, however it ends.
// Nobody else can take it: to lock a directory one has to open it, and it is its owner's alone.
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
} from "node:fs";
import { dirname } from "node:path";
import { HoldfastError } from "@holdfast/model";
import { lockFile } from "./libc.ts";

const PRIVATE = 0o700;

/**
 * Takes the directory where the data plane is pinned. Where there is no such place (no bpffs: the userspace
 * fast path) there is nothing to protect. Returns what frees it. Throws DAEMON_RUNNING.
 */
export function lockDataPlane(pinDirectory: string): () => void {
  const free = take(
    pinDirectory,
    () => new HoldfastError("DAEMON_RUNNING", { pinDirectory }),
    () => undefined,
  );
  return () => {
    free?.();
    // One that holds nothing is no use to anybody.
    if (free !== undefined) tryTo(() => rmdirSync(pinDirectory));
  };
}

/**
 * Takes the store's directory; none when it is "". Returns what frees it. Throws STORE_IN_USE,
 * STORE_DIRECTORY_UNUSABLE.
 */
export function lockStore(directory: string): () => void {
  if (directory === "") return () => {};
  const free = take(
    directory,
    () => new HoldfastError("STORE_IN_USE", { directory }),
    (cause) => {
      const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
      throw new HoldfastError("STORE_DIRECTORY_UNUSABLE", { directory, reason }, { cause });
    },
  );
  return () => free?.();
}

/** `missing`: the directory cannot be made or opened. */
function take(
  directory: string,
  taken: () => HoldfastError,
  missing: (cause: unknown) => undefined,
): (() => void) | undefined {
  let fd: number;
  try {
    makeDirectory(directory);
    fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (cause) {
    return missing(cause);
  }
  try {
    if ((fstatSync(fd).mode & 0o777) !== PRIVATE) tryTo(() => chmodSync(directory, PRIVATE));
    if (!lockFile(fd)) throw taken();
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return () => closeSync(fd);
}

/**
 * Not Node's own recursion: where a kernel answers ENOENT though the parent is there (/proc), it never
 * returns.
 */
function makeDirectory(directory: string): void {
  const parent = dirname(directory);
  if (parent !== directory && !existsSync(parent)) makeDirectory(parent);
  if (!existsSync(directory)) mkdirSync(directory, { mode: PRIVATE });
}

function tryTo(action: () => void): void {
  try {
    action();
  } catch {
    // Another owner's, or not empty: it stays as it is.
  }
}

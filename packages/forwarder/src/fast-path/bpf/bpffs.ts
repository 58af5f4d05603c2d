// The BPF file system, in which the data plane outlives the daemon.

import { existsSync, mkdirSync, readdirSync, rmdirSync, statfsSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { HoldfastError } from "@holdfast/model";
import { errno, errnoName, libc } from "../../kernel/libc.ts";

const BPF_FS_MAGIC = 0xcafe4a11;
const MOUNT_POINT = "/sys/fs/bpf";

/** Makes the directory, and mounts the BPF file system when it is not there. Throws BPF_FS_UNAVAILABLE. */
export function preparePinDirectory(directory: string): void {
  if (!onBpffs(directory)) {
    // A path outside the usual mount point would hide what is below it: only the usual one is mounted.
    if (!directory.startsWith(`${MOUNT_POINT}/`)) {
      throw new HoldfastError("BPF_FS_UNAVAILABLE", { directory, reason: "it is not on a BPF file system" });
    }
    if (libc().mount("bpf", MOUNT_POINT, "bpf", 0, null) !== 0) {
      throw new HoldfastError("BPF_FS_UNAVAILABLE", {
        directory,
        reason: `mounting it failed with ${errnoName(errno())}`,
      });
    }
  }
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new HoldfastError("BPF_FS_UNAVAILABLE", { directory, reason: String(cause) }, { cause });
  }
}

function onBpffs(directory: string): boolean {
  let existing = directory;
  while (!existsSync(existing)) existing = dirname(existing);
  return Number(statfsSync(existing).type) === BPF_FS_MAGIC;
}

/** Names in a directory of pins; none when it does not exist. */
export function pinnedNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

export function unpin(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Removes every pin below, and the directories. */
export function removePins(directory: string): void {
  clearPins(directory);
  if (existsSync(directory)) rmdirSync(directory);
}

/** Everything below a directory; the directory itself stays, with whoever holds a lock on it. */
export function clearPins(directory: string): void {
  for (const name of pinnedNames(directory)) {
    const path = join(directory, name);
    if (pinnedNames(path).length > 0 || isDirectory(path)) removePins(path);
    else unpin(path);
  }
}

function isDirectory(path: string): boolean {
  try {
    readdirSync(path);
    return true;
  } catch {
    return false;
  }
}

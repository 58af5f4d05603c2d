// What the store asks of a file system. A port: the store's tests give it disks that fail, fill, lose power
// and heal.
import {
  constants,
  copyFile,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  truncate,
} from "node:fs/promises";

export interface DiskFile {
  /** All bytes, behind what stands there. A failure may have written a part. */
  append(bytes: Uint8Array): Promise<void>;
  /**
   * What was appended outlives a power failure. After a failure nothing is known of it, also when the next
   * one succeeds.
   */
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface Disk {
  /** With those above it; for this user alone. */
  makeDirectory(path: string): Promise<void>;
  /** "new": an empty file, whatever was there; "end": to append, made when it is missing. */
  open(path: string, at: "new" | "end"): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  /** Of a file that is not there, too. */
  remove(path: string): Promise<void>;
  /** To its first `bytes`. */
  cut(path: string, bytes: number): Promise<void>;
  /** To a name that is free; on disk when it resolves. */
  copy(from: string, to: string): Promise<void>;
  /** Names in a directory, ascending. */
  list(path: string): Promise<string[]>;
  size(path: string): Promise<number>;
  read(path: string): Promise<Buffer>;
  /**
   * Names made, renamed and removed in a directory outlive a power failure: to sync the file does not do
   * that.
   */
  syncDirectory(path: string): Promise<void>;
}

export const machineDisk: Disk = {
  async makeDirectory(path) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },
  async open(path, at) {
    const handle = await open(path, at === "new" ? "w" : "a", 0o600);
    return {
      append: (bytes) => handle.appendFile(bytes),
      sync: () => handle.datasync(),
      close: () => handle.close(),
    };
  },
  rename,
  remove: (path) => rm(path, { force: true }),
  cut: truncate,
  async copy(from, to) {
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const handle = await open(to, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
  list: async (path) => (await readdir(path)).sort(),
  size: async (path) => (await stat(path)).size,
  read: (path) => readFile(path),
  async syncDirectory(path) {
    const handle = await open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/** ENOSPC, EIO, … */
export function errorCodeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

// A disk in memory that fails, fills, loses power at any step, and heals, as the test says. It knows what a
// real one forgets: bytes that were not synced, and names in a directory that was not.
import { basename, dirname } from "node:path";
import type { Disk, DiskFile } from "../disk.ts";

interface Inode {
  content: Buffer;
  /** What a power failure leaves at least. */
  synced: Buffer;
}

export interface Step {
  readonly operation: keyof Disk | "append" | "sync" | "close";
  readonly path: string;
}

export class PlayedDisk {
  readonly #current = new Map<string, Map<string, Inode>>();
  readonly #synced = new Map<string, Map<string, Inode>>();
  /** Throws what the disk answers to a step; called before it. */
  before: (step: Step) => void = () => {};
  /** Bytes that fit; an append beyond writes what fits and fails. */
  capacity = Number.POSITIVE_INFINITY;
  steps = 0;
  #off = false;

  /** Everything from the step with this number on never comes back, as in a process that is gone. */
  powerFailsAt = Number.POSITIVE_INFINITY;

  get isOff(): boolean {
    return this.#off;
  }

  /**
   * The machine starts again. `luck`: 0 … 1 for each file and directory, how much of what was not synced
   * survived.
   */
  restart(luck: () => number): void {
    for (const [directory, names] of this.#current) {
      const kept = luck() < 0.5 ? (this.#synced.get(directory) ?? new Map<string, Inode>()) : names;
      this.#current.set(directory, new Map(kept));
    }
    for (const names of this.#current.values()) {
      for (const inode of new Set(names.values())) {
        const { content, synced } = inode;
        const isGrown = content.subarray(0, synced.length).equals(synced);
        const more = Math.floor(luck() * (content.length - synced.length + 1));
        inode.content = isGrown ? content.subarray(0, synced.length + more) : luck() < 0.5 ? content : synced;
        inode.synced = inode.content;
      }
    }
    this.#off = false;
    this.powerFailsAt = Number.POSITIVE_INFINITY;
  }

  bytes(path: string): Buffer | undefined {
    return this.#current.get(dirname(path))?.get(basename(path))?.content;
  }

  replace(path: string, bytes: Uint8Array): void {
    const content = Buffer.from(bytes);
    this.#names(dirname(path)).set(basename(path), { content, synced: content });
  }

  readonly disk: Disk = {
    makeDirectory: async (path) => {
      await this.#step("makeDirectory", path);
      if (!this.#current.has(path)) this.#current.set(path, new Map());
    },
    open: async (path, at) => {
      await this.#step("open", path);
      const names = this.#names(dirname(path));
      const inode = names.get(basename(path)) ?? { content: Buffer.alloc(0), synced: Buffer.alloc(0) };
      if (at === "new") inode.content = Buffer.alloc(0);
      names.set(basename(path), inode);
      return this.#file(path, inode);
    },
    rename: async (from, to) => {
      await this.#step("rename", to);
      const inode = this.#inode(from);
      this.#names(dirname(to)).set(basename(to), inode);
      this.#names(dirname(from)).delete(basename(from));
    },
    remove: async (path) => {
      await this.#step("remove", path);
      this.#names(dirname(path)).delete(basename(path));
    },
    cut: async (path, bytes) => {
      await this.#step("cut", path);
      const inode = this.#inode(path);
      inode.content = inode.content.subarray(0, bytes);
    },
    copy: async (from, to) => {
      await this.#step("copy", to);
      const content = Buffer.from(this.#inode(from).content);
      this.#names(dirname(to)).set(basename(to), { content, synced: content });
    },
    list: async (path) => {
      await this.#step("list", path);
      return [...this.#names(path).keys()].sort();
    },
    size: async (path) => {
      await this.#step("size", path);
      return this.#inode(path).content.length;
    },
    read: async (path) => {
      await this.#step("read", path);
      return Buffer.from(this.#inode(path).content);
    },
    syncDirectory: async (path) => {
      await this.#step("syncDirectory", path);
      this.#synced.set(path, new Map(this.#current.get(path)));
    },
  };

  #file(path: string, inode: Inode): DiskFile {
    return {
      append: async (bytes) => {
        let used = 0;
        for (const names of this.#current.values())
          for (const { content } of names.values()) used += content.length;
        const room = Math.max(0, this.capacity - used);
        // The power fails in the middle of it, too: what was written stands in the file.
        const isLast = this.steps + 1 === this.powerFailsAt;
        const part = isLast ? bytes.subarray(0, bytes.length >> 1) : bytes.subarray(0, room);
        const step = this.#step("append", path);
        if (isLast) inode.content = Buffer.concat([inode.content, part]);
        await step;
        inode.content = Buffer.concat([inode.content, part]);
        if (part.length < bytes.length) throw diskError("ENOSPC");
      },
      sync: async () => {
        await this.#step("sync", path);
        inode.synced = inode.content;
      },
      close: () => this.#step("close", path),
    };
  }

  #names(directory: string): Map<string, Inode> {
    const names = this.#current.get(directory);
    if (names === undefined) throw diskError("ENOENT");
    return names;
  }

  #inode(path: string): Inode {
    const inode = this.#names(dirname(path)).get(basename(path));
    if (inode === undefined) throw diskError("ENOENT");
    return inode;
  }

  async #step(operation: Step["operation"], path: string): Promise<void> {
    this.steps++;
    if (this.steps >= this.powerFailsAt) this.#off = true;
    if (this.#off) await new Promise(() => {});
    this.before({ operation, path });
  }
}

export function diskError(code: string): Error {
  return Object.assign(new Error(code), { code });
}

// What is broken is kept for whoever wants to look at it: NAME.broken-TIME beside its place, which nothing
// here reads, appends to or removes.
import { dirname } from "node:path";
import { type Disk, errorCodeOf } from "./disk.ts";

/**
 * Files put aside in one directory. Beyond, a broken file stays where it is, and nothing is written to it.
 */
export const BROKEN_FILE_COUNT_MAX = 256;
const BROKEN = /\.broken-\d{8}T\d{6}Z(-\d+)?$/;

export function isPutAside(name: string): boolean {
  return BROKEN.test(name);
}

/** The name that it has now, or why it could not be put aside. */
export type PutAside = { readonly name: string } | { readonly failure: string };

export class Attic {
  readonly #disk: Disk;
  readonly #wallMs: () => number;

  constructor(disk: Disk, wallMs: () => number) {
    this.#disk = disk;
    this.#wallMs = wallMs;
  }

  /** The whole file moves. */
  move(path: string): Promise<PutAside> {
    return this.#put(path, (to) => this.#disk.rename(path, to));
  }

  /** A copy of it; the file stays. */
  copy(path: string): Promise<PutAside> {
    return this.#put(path, (to) => this.#disk.copy(path, to));
  }

  async #put(path: string, put: (to: string) => Promise<void>): Promise<PutAside> {
    try {
      const directory = dirname(path);
      const there = new Set(await this.#disk.list(directory));
      const count = [...there].filter(isPutAside).length;
      if (count >= BROKEN_FILE_COUNT_MAX) return { failure: `${count} files are put aside already` };
      const stamp = new Date(this.#wallMs()).toISOString().replace(/[-:]|\.\d+/g, "");
      const first = `${path}.broken-${stamp}`;
      let to = first;
      for (let n = 2; there.has(to.slice(directory.length + 1)); n++) to = `${first}-${n}`;
      await put(to);
      await this.#disk.syncDirectory(directory);
      return { name: to.slice(directory.length + 1) };
    } catch (error) {
      return { failure: errorCodeOf(error) };
    }
  }
}

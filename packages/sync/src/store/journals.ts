// The journal files of a store while it is written: appended to, forced to disk, dropped. A file that missed
// a byte gets no further one, so that none has a gap.
import { join } from "node:path";
import type { Actor } from "../ports/journals.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { JOURNAL_MAGIC, parseJournalName } from "./records.ts";

/** Journal files kept open. */
const OPEN_FILE_COUNT_MAX = 48;

export class JournalFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #lost: (file: string | undefined, error: unknown) => void;
  readonly #open = new Map<string, DiskFile>();
  /** Bytes of each file that were written whole; of those that may get more. */
  readonly #goodBytes = new Map<string, number>();
  readonly #unsynced = new Set<string>();
  /** Files were made or removed since the directory was forced to disk. */
  #namesUnsynced = false;
  /** Files that miss something behind their good bytes. */
  readonly #short = new Set<string>();
  /** Broken files that could not be put aside. */
  #stuck: ReadonlySet<string> = new Set();

  /** `lost`: of a file, or of the directory's names, it is not known whether they are on disk. */
  constructor(disk: Disk, directory: string, lost: (file: string | undefined, error: unknown) => void) {
    this.#disk = disk;
    this.#directory = directory;
    this.#lost = lost;
  }

  loaded(goodBytes: ReadonlyMap<string, number>, stuck: ReadonlySet<string>): void {
    for (const [file, bytes] of goodBytes) this.#goodBytes.set(file, bytes);
    this.#stuck = stuck;
  }

  /** Nothing may be appended to it: it misses something, or is broken and could not be put aside. */
  isShort(file: string): boolean {
    return this.#short.has(file) || this.#stuck.has(file);
  }

  /**
   * Throws what the disk throws; the file ends where it ended before, as far as the disk lets it. Returns the
   * bytes.
   */
  async append(file: string, begins: boolean, records: readonly Buffer[]): Promise<number> {
    if (begins) this.#short.delete(file);
    const bytes = Buffer.concat(begins ? [JOURNAL_MAGIC, ...records] : records);
    const before = begins ? 0 : (this.#goodBytes.get(file) ?? 0);
    try {
      const handle = await this.#handleOf(file, begins);
      await handle.append(bytes);
    } catch (error) {
      await this.#giveUp(file, before);
      throw error;
    }
    this.#goodBytes.set(file, before + bytes.length);
    this.#unsynced.add(file);
    return bytes.length;
  }

  /**
   * Removes an actor's files below `base`. Throws what the disk throws; the others are removed all the same.
   */
  async drop(actor: Actor, base: number): Promise<void> {
    let failure: { readonly error: unknown } | undefined;
    for (const file of await this.#disk.list(this.#directory)) {
      const identity = parseJournalName(file);
      if (identity?.actor !== actor || identity.segment >= base || this.#stuck.has(file)) continue;
      this.#unsynced.delete(file);
      this.#goodBytes.delete(file);
      this.#short.delete(file);
      try {
        await this.#close(file);
        await this.#disk.remove(join(this.#directory, file));
        this.#namesUnsynced = true;
      } catch (error) {
        failure = { error };
      }
    }
    if (failure !== undefined) throw failure.error;
  }

  /** Forces to disk what was appended; what is uncertain then was told to `lost`. */
  async sync(): Promise<void> {
    for (const file of [...this.#unsynced]) await this.#sync(file);
    if (!this.#namesUnsynced) return;
    try {
      await this.#disk.syncDirectory(this.#directory);
      this.#namesUnsynced = false;
    } catch (error) {
      this.#lost(undefined, error);
    }
  }

  async close(): Promise<void> {
    for (const file of [...this.#open.keys()]) await this.#close(file).catch(() => {});
  }

  async #sync(file: string): Promise<void> {
    this.#unsynced.delete(file);
    const handle = this.#open.get(file);
    if (handle === undefined) return;
    try {
      await handle.sync();
    } catch (error) {
      // The kernel may have let go of what it could not write: another sync would say that all is well.
      await this.#close(file).catch(() => {});
      this.#short.add(file);
      this.#lost(file, error);
    }
  }

  async #handleOf(file: string, begins: boolean): Promise<DiskFile> {
    const known = this.#open.get(file);
    if (known !== undefined) {
      // Again at the end: the map's order is that of last use.
      this.#open.delete(file);
      this.#open.set(file, known);
      return known;
    }
    const [oldest] = this.#open.keys();
    if (this.#open.size >= OPEN_FILE_COUNT_MAX && oldest !== undefined) {
      if (this.#unsynced.has(oldest)) await this.#sync(oldest);
      await this.#close(oldest);
    }
    const handle = await this.#disk.open(join(this.#directory, file), begins ? "new" : "end");
    if (begins) this.#namesUnsynced = true;
    this.#open.set(file, handle);
    return handle;
  }

  /** After a failed append: a part may have been written, and would read as damage. */
  async #giveUp(file: string, goodBytes: number): Promise<void> {
    await this.#close(file).catch(() => {});
    const path = join(this.#directory, file);
    await (goodBytes === 0 ? this.#disk.remove(path) : this.#disk.cut(path, goodBytes)).catch(() => {});
    this.#goodBytes.delete(file);
    this.#short.add(file);
  }

  async #close(file: string): Promise<void> {
    const handle = this.#open.get(file);
    this.#open.delete(file);
    await handle?.close();
  }
}

// Reads a store's directory: at start, and for `holdfast journal`, which must not change it.
import { join } from "node:path";
import type { StoredSegment, StoredState } from "../ports/store.ts";
import { type Disk, errorCodeOf, machineDisk } from "./disk.ts";
import { type Attic, isPutAside, type PutAside } from "./put-aside.ts";
import {
  JOURNAL_FILE_BYTES_MAX,
  type JournalFile,
  parseJournal,
  parseJournalName,
  parseValue,
  parseValueName,
  VALUE_BYTES_MAX,
} from "./records.ts";

export const JOURNAL_DIRECTORY = "journals";
export const VALUE_DIRECTORY = "values";

export interface ReadOptions {
  readonly disk?: Disk;
  /**
   * Where broken files go, so that what is written later is found again. Without it nothing is changed. Only
   * what never held anything (a value half written beside its place, a journal without its first record) is
   * removed.
   */
  readonly attic?: Attic;
}

export interface StoreContent extends StoredState {
  /** Bytes of each journal file that are good. */
  readonly goodBytes: ReadonlyMap<string, number>;
  /**
   * Broken files, journals and values, that could not be put aside: they must not be written to, nor removed.
   */
  readonly stuck: ReadonlySet<string>;
  /** Files that are put aside, also those of earlier starts. */
  readonly brokenCount: number;
}

/** Everything that can be read. Damage never throws; a directory that cannot be listed does. */
export async function readStore(directory: string, options: ReadOptions = {}): Promise<StoreContent> {
  const reader = new Reader(directory, options.disk ?? machineDisk, options.attic);
  await reader.journals();
  await reader.values();
  return reader.content();
}

class Reader {
  readonly #directory: string;
  readonly #disk: Disk;
  readonly #attic: Attic | undefined;
  readonly #damaged: string[] = [];
  readonly #segments: StoredSegment[] = [];
  readonly #values = new Map<string, Uint8Array>();
  readonly #goodBytes = new Map<string, number>();
  readonly #stuck = new Set<string>();
  #brokenCount = 0;

  constructor(directory: string, disk: Disk, attic: Attic | undefined) {
    this.#directory = directory;
    this.#disk = disk;
    this.#attic = attic;
  }

  content(): StoreContent {
    this.#segments.sort((a, b) => (a.actor < b.actor ? -1 : a.actor > b.actor ? 1 : a.segment - b.segment));
    return {
      segments: this.#segments,
      values: this.#values,
      damaged: this.#damaged,
      goodBytes: this.#goodBytes,
      stuck: this.#stuck,
      brokenCount: this.#brokenCount,
    };
  }

  async journals(): Promise<void> {
    for (const name of await this.#list(JOURNAL_DIRECTORY)) {
      const identity = parseJournalName(name);
      if (identity === undefined) continue;
      const path = join(this.#directory, JOURNAL_DIRECTORY, name);
      const bytes = await this.#readBounded(path, JOURNAL_FILE_BYTES_MAX);
      if (typeof bytes === "string") {
        await this.#broken(JOURNAL_DIRECTORY, name, `${bytes}; all of it was left out`, "move");
        continue;
      }
      if (bytes.length === 0) {
        // Made, and its first record never came.
        if (this.#attic !== undefined) await this.#disk.remove(path).catch(() => this.#stuck.add(name));
        continue;
      }
      const file = parseJournal(bytes);
      if (file.damage !== undefined) await this.#brokenJournal(name, path, file, file.damage);
      if (file.changes.length > 0 || file.sealed) {
        this.#segments.push({ ...identity, sealed: file.sealed, changes: file.changes });
        this.#goodBytes.set(name, file.goodBytes);
      }
    }
  }

  async values(): Promise<void> {
    for (const name of await this.#list(VALUE_DIRECTORY)) {
      const path = join(this.#directory, VALUE_DIRECTORY, name);
      if (name.endsWith(".new")) {
        if (this.#attic !== undefined) await this.#disk.remove(path).catch(() => {});
        continue;
      }
      const valueName = parseValueName(name);
      if (valueName === undefined) continue;
      const bytes = await this.#readBounded(path, VALUE_BYTES_MAX + 8);
      const value = typeof bytes === "string" ? undefined : parseValue(bytes);
      if (value !== undefined) this.#values.set(valueName, value);
      else {
        const what = typeof bytes === "string" ? bytes : "corrupt";
        await this.#broken(VALUE_DIRECTORY, name, `${what}; it was left out`, "move");
      }
    }
  }

  async #list(of: string): Promise<string[]> {
    const names = await this.#disk.list(join(this.#directory, of));
    this.#brokenCount += names.filter(isPutAside).length;
    return names;
  }

  /** What is good stays and is gone on with; the whole of it, as it was found, is put aside. */
  async #brokenJournal(name: string, path: string, file: JournalFile, damage: string): Promise<void> {
    const keeps = file.changes.length > 0 || file.sealed;
    await this.#broken(JOURNAL_DIRECTORY, name, damage, keeps ? "copy" : "move");
    if (!keeps || this.#attic === undefined || this.#stuck.has(name)) return;
    await this.#disk.cut(path, file.goodBytes).catch(() => this.#stuck.add(name));
  }

  async #broken(directory: string, name: string, damage: string, how: "move" | "copy"): Promise<void> {
    const attic = this.#attic;
    const path = join(this.#directory, directory, name);
    const aside: PutAside | undefined = attic === undefined ? undefined : await attic[how](path);
    if (aside !== undefined && "failure" in aside) this.#stuck.add(name);
    if (aside !== undefined && "name" in aside) this.#brokenCount++;
    this.#damaged.push(`${directory}/${name}: ${damage}${aside === undefined ? "" : whereabouts(aside)}`);
  }

  /** The bytes, or in words why not. */
  async #readBounded(path: string, bytesMax: number): Promise<Buffer | string> {
    try {
      const size = await this.#disk.size(path);
      return size > bytesMax ? `${size} bytes are too many` : await this.#disk.read(path);
    } catch (error) {
      return `cannot be read (${errorCodeOf(error)})`;
    }
  }
}

function whereabouts(aside: PutAside): string {
  return "name" in aside
    ? `; the file as it was is ${aside.name} now`
    : `; it could not be put aside (${aside.failure}) and is left alone`;
}

// The small named values of a store: each in a file of its own, replaced whole. The last one of a name is
// tried again until it is on disk, whatever the disk does meanwhile.
import { join } from "node:path";
import { type Disk, errorCodeOf } from "./disk.ts";
import type { Attic } from "./put-aside.ts";
import { valueFile, valueName } from "./records.ts";

export class ValueFiles {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #attic: Attic;
  /** The last of each name that is not on disk. */
  readonly #unwritten = new Map<string, Uint8Array>();
  readonly #stuck = new Set<string>();

  constructor(disk: Disk, directory: string, attic: Attic) {
    this.#disk = disk;
    this.#directory = directory;
    this.#attic = attic;
  }

  get unwrittenCount(): number {
    return this.#unwritten.size;
  }

  /** Broken files that could not be put aside: they are before something takes their place. */
  loaded(stuck: ReadonlySet<string>): void {
    for (const file of stuck) this.#stuck.add(file);
  }

  put(name: string, value: Uint8Array): void {
    this.#unwritten.set(name, value);
  }

  /** Tries all that are not on disk. Returns the bytes written, and what failed, by name. */
  async write(): Promise<{ readonly bytes: number; readonly failures: ReadonlyMap<string, unknown> }> {
    const failures = new Map<string, unknown>();
    let bytes = 0;
    for (const [name, value] of [...this.#unwritten]) {
      try {
        await this.#write(valueName(name), value);
        bytes += value.length;
        // One that came meanwhile is another one.
        if (this.#unwritten.get(name) === value) this.#unwritten.delete(name);
      } catch (error) {
        failures.set(name, error);
      }
    }
    return { bytes, failures };
  }

  /** Whether the disk takes anything at all: throws what it throws when not. */
  async probe(): Promise<void> {
    const path = join(this.#directory, "probe.new");
    await this.#fill(path, valueFile(new Uint8Array(PROBE_BYTES)));
    await this.#disk.remove(path);
  }

  async #write(file: string, value: Uint8Array): Promise<void> {
    const path = join(this.#directory, file);
    if (this.#stuck.has(file)) {
      const aside = await this.#attic.move(path);
      if ("failure" in aside) throw new Error(`${file} is broken and cannot be put aside: ${aside.failure}`);
      this.#stuck.delete(file);
    }
    await this.#fill(`${path}.new`, valueFile(value));
    await this.#disk.rename(`${path}.new`, path);
    await this.#disk.syncDirectory(this.#directory);
  }

  async #fill(path: string, bytes: Uint8Array): Promise<void> {
    try {
      const handle = await this.#disk.open(path, "new");
      try {
        await handle.append(bytes);
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      // A part of it may fill the last of the disk.
      await this.#disk.remove(path).catch(() => {});
      throw error;
    }
  }
}

/** More than a block, so that a full disk is noticed. */
const PROBE_BYTES = 8_192;

/** The first failure in words. */
export function firstOf(failures: ReadonlyMap<string, unknown>): string | undefined {
  for (const [what, error] of failures) return `${what}: ${errorCodeOf(error)}`;
  return undefined;
}

// What a client posts and nothing here acts on: stored, shown, and said once.
import type { Logger } from "@holdfast/model";
import { LoxilbError } from "./reply.ts";

/** Entries of each kind; one more is refused as LoxiLB refuses what does not fit. */
export const STORED_COUNT_MAX = 256;
/** Of one entry, as JSON: a defined set of a thousand prefixes fits. */
const ENTRY_BYTES_MAX = 64 * 1024;
/** Of all entries of all kinds. */
const STORED_BYTES_MAX = 1024 * 1024;

export class StoredEntries {
  readonly #logger: Logger;
  /** Values as JSON: their size is known, and what was parsed does not stay. */
  readonly #byKind = new Map<string, Map<string, string>>();
  #bytes = 0;
  readonly #said = new Set<string>();

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  sayOnce(what: string): void {
    if (this.#said.has(what)) return;
    this.#said.add(what);
    this.#logger.warn({ what }, "stored and shown, but nothing acts on it yet");
  }

  /** Throws what LoxiLB answers where there is no room. */
  put(kind: string, name: string, value: unknown): void {
    const entries = this.#byKind.get(kind) ?? new Map<string, string>();
    const text = JSON.stringify(value);
    const bytes = sizeOf(name, text) - sizeOf(name, entries.get(name));
    const isFull = !entries.has(name) && entries.size >= STORED_COUNT_MAX;
    if (isFull || sizeOf(name, text) > ENTRY_BYTES_MAX || this.#bytes + bytes > STORED_BYTES_MAX)
      throw new LoxilbError("capacity insufficient");
    this.#byKind.set(kind, entries);
    entries.set(name, text);
    this.#bytes += bytes;
    this.sayOnce(kind);
  }

  forget(kind: string, name: string): void {
    const entries = this.#byKind.get(kind);
    this.#bytes -= sizeOf(name, entries?.get(name));
    entries?.delete(name);
  }

  get(kind: string, name: string): unknown {
    const text = this.#byKind.get(kind)?.get(name);
    return text === undefined ? undefined : JSON.parse(text);
  }

  listed(kind: string): unknown[] {
    return [...(this.#byKind.get(kind)?.values() ?? [])].map((text) => JSON.parse(text));
  }
}

function sizeOf(name: string, text: string | undefined): number {
  return text === undefined ? 0 : Buffer.byteLength(name) + Buffer.byteLength(text);
}

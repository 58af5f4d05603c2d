// Sessions and configuration on disk: one append-only file per journal segment, one per value, written behind.
//
// Why not an embedded database: its one memory-mapped file dies with its process (SIGBUS) when it is cut short, and
// damage anywhere costs everything. A journal is a sequence of appends that retires as a whole; a file is just that.
import { type FileHandle, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, HoldfastError, type Logger, type Timer } from "@holdfast/model";
import type { Actor, Store, StoredState } from "../ports.ts";
import { JOURNAL_DIRECTORY, readStore, VALUE_DIRECTORY } from "./read.ts";
import {
  changeRecord,
  JOURNAL_MAGIC,
  journalName,
  parseJournalName,
  sealedRecord,
  VALUE_BYTES_MAX,
  valueFile,
  valueName,
} from "./records.ts";

/** Bytes that wait to be written. Beyond, appends are left out (their segments stay short) and counted. */
export const STORE_QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** How long operations gather before they are written together. */
export const STORE_GATHER_MS = 50;
/** Written files are forced to disk at most this often: a power failure costs the last seconds, a crash nothing. */
export const STORE_SYNC_PERIOD_MS = 2_000;
/** After a failed write, how long nothing is written. */
export const STORE_RETRY_MS = 5_000;
/** Journal files kept open. */
const OPEN_FILE_COUNT_MAX = 48;

type Operation =
  | { readonly kind: "append"; readonly file: string; readonly bytes: Buffer; readonly begins: boolean }
  | { readonly kind: "drop"; readonly actor: Actor; readonly base: number }
  | { readonly kind: "put"; readonly name: string; readonly value: Uint8Array }
  | { readonly kind: "flush"; readonly done: () => void };

export interface StoreCounters {
  readonly writtenBytes: number;
  /** Appends that were left out: queue full, disk full, or behind such a gap. */
  readonly leftOutCount: number;
  readonly writeErrorCount: number;
  readonly queuedBytes: number;
}

export interface FileStoreOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

export class FileStore implements Store {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #logger: Logger;
  #queue: Operation[] = [];
  #queuedBytes = 0;
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /** Ticks of each file that are written or queued; a file with a gap is absent until its segment begins anew. */
  readonly #ticks = new Map<string, number>();
  readonly #handles = new Map<string, FileHandle>();
  readonly #unsynced = new Set<string>();
  #syncedAtMs = 0;
  #writtenBytes = 0;
  #leftOutCount = 0;
  #writeErrorCount = 0;

  /** Makes the directory. Errors: STORE_DIRECTORY_UNUSABLE. */
  static async open(options: FileStoreOptions): Promise<FileStore> {
    try {
      await mkdir(join(options.directory, JOURNAL_DIRECTORY), { recursive: true, mode: 0o700 });
      await mkdir(join(options.directory, VALUE_DIRECTORY), { recursive: true, mode: 0o700 });
      const probe = join(options.directory, VALUE_DIRECTORY, "probe.new");
      await (await open(probe, "w", 0o600)).close();
      await rm(probe, { force: true });
    } catch (cause) {
      throw new HoldfastError(
        "STORE_DIRECTORY_UNUSABLE",
        { directory: options.directory, reason: codeOf(cause) },
        { cause },
      );
    }
    return new FileStore(options);
  }

  /** Use `open`. */
  constructor(options: FileStoreOptions) {
    this.#directory = options.directory;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  async load(): Promise<StoredState> {
    const state = await readStore(this.#directory, true);
    for (const segment of state.segments) {
      if (!segment.sealed)
        this.#ticks.set(journalName(segment.actor, segment.segment), segment.changes.length);
    }
    for (const damage of state.damaged)
      this.#logger.warn({ code: "STORE_FILE_DAMAGED", directory: this.#directory }, damage);
    return state;
  }

  append(actor: Actor, segment: number, tick: number, change: Uint8Array): void {
    const file = journalName(actor, segment);
    const held = this.#ticks.get(file);
    if (held !== undefined && tick < held) return;
    // Behind a gap nothing counts: the file ends where it ended, and the other members have the rest.
    if (tick !== (held ?? 0) || !this.#hasRoom(change.length)) {
      this.#leftOutCount++;
      this.#ticks.set(file, Number.POSITIVE_INFINITY);
      return;
    }
    this.#ticks.set(file, tick + 1);
    this.#push({ kind: "append", file, bytes: changeRecord(change), begins: tick === 0 });
  }

  seal(actor: Actor, segment: number): void {
    const file = journalName(actor, segment);
    const held = this.#ticks.get(file);
    this.#ticks.delete(file);
    if (held !== undefined && Number.isFinite(held))
      this.#push({ kind: "append", file, bytes: sealedRecord(), begins: held === 0 });
  }

  drop(actor: Actor, base: number): void {
    for (const file of this.#ticks.keys()) {
      const identity = parseJournalName(file);
      if (identity?.actor === actor && identity.segment < base) this.#ticks.delete(file);
    }
    this.#push({ kind: "drop", actor, base });
  }

  put(name: string, value: Uint8Array): void {
    valueName(name);
    if (value.length > VALUE_BYTES_MAX) throw new RangeError(`a value of ${value.length} bytes`);
    // Only the last of several waiting puts of a name counts, when nothing stands between them.
    const last = this.#queue.at(-1);
    if (last?.kind === "put" && last.name === name) this.#queue.pop();
    this.#push({ kind: "put", name, value: new Uint8Array(value) });
  }

  flush(): Promise<void> {
    return new Promise((done) => {
      this.#push({ kind: "flush", done });
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#write();
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    await this.flush();
    this.#closed = true;
    this.#timer?.cancel();
    await this.#writing;
    await this.#sync(true);
    for (const handle of this.#handles.values()) await handle.close().catch(() => {});
    this.#handles.clear();
  }

  counters(): StoreCounters {
    return {
      writtenBytes: this.#writtenBytes,
      leftOutCount: this.#leftOutCount,
      writeErrorCount: this.#writeErrorCount,
      queuedBytes: this.#queuedBytes,
    };
  }

  #hasRoom(bytes: number): boolean {
    return (
      !this.#closed &&
      this.#queuedBytes + bytes <= STORE_QUEUE_BYTES_MAX &&
      this.#clock.nowMs() >= this.#pausedUntilMs
    );
  }

  #push(operation: Operation): void {
    if (this.#closed) {
      if (operation.kind === "flush") operation.done();
      return;
    }
    this.#queue.push(operation);
    if (operation.kind === "append") this.#queuedBytes += operation.bytes.length;
    if (this.#timer === undefined && this.#writing === undefined) {
      this.#timer = this.#clock.after(STORE_GATHER_MS, () => {
        this.#timer = undefined;
        this.#write();
      });
    }
  }

  #write(): void {
    if (this.#writing !== undefined) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      if (this.#queue.some((operation) => operation.kind === "flush")) this.#write();
      else if (this.#queue.length > 0 && this.#timer === undefined && !this.#closed) {
        this.#timer = this.#clock.after(STORE_GATHER_MS, () => {
          this.#timer = undefined;
          this.#write();
        });
      }
    });
  }

  async #writeAll(): Promise<void> {
    const operations = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    // Consecutive appends are gathered by file; everything else keeps its place.
    let run = new Map<string, { begins: boolean; parts: Buffer[] }>();
    const endRun = async () => {
      const files = run;
      run = new Map();
      for (const [file, { begins, parts }] of files) await this.#appendTo(file, begins, parts);
    };
    const flushed: (() => void)[] = [];
    for (const operation of operations) {
      if (operation.kind === "append") {
        const entry = run.get(operation.file);
        if (entry === undefined)
          run.set(operation.file, { begins: operation.begins, parts: [operation.bytes] });
        else entry.parts.push(operation.bytes);
        continue;
      }
      await endRun();
      if (operation.kind === "drop") await this.#dropFiles(operation.actor, operation.base);
      else if (operation.kind === "put") await this.#writeValue(operation.name, operation.value);
      else flushed.push(operation.done);
    }
    await endRun();
    await this.#sync(flushed.length > 0);
    for (const done of flushed) done();
  }

  async #appendTo(file: string, begins: boolean, parts: readonly Buffer[]): Promise<void> {
    const bytes = Buffer.concat(begins ? [JOURNAL_MAGIC, ...parts] : parts);
    if (this.#clock.nowMs() < this.#pausedUntilMs) {
      this.#leaveOut(file, parts.length);
      return;
    }
    try {
      const handle = await this.#handleOf(file, begins);
      await handle.appendFile(bytes);
      this.#writtenBytes += bytes.length;
      this.#unsynced.add(file);
    } catch (error) {
      // A part may have been written: the crc finds the torn record at the next start.
      this.#leaveOut(file, parts.length);
      this.#failed(file, error);
      await this.#closeHandle(file);
    }
  }

  #leaveOut(file: string, count: number): void {
    this.#leftOutCount += count;
    if (this.#ticks.has(file)) this.#ticks.set(file, Number.POSITIVE_INFINITY);
  }

  async #handleOf(file: string, begins: boolean): Promise<FileHandle> {
    const known = this.#handles.get(file);
    if (known !== undefined) {
      // Again at the end: the map's order is that of last use.
      this.#handles.delete(file);
      this.#handles.set(file, known);
      return known;
    }
    const handle = await open(this.#journalPath(file), begins ? "w" : "a", 0o600);
    this.#handles.set(file, handle);
    const oldest = this.#handles.keys().next().value;
    if (this.#handles.size > OPEN_FILE_COUNT_MAX && oldest !== undefined) await this.#closeHandle(oldest);
    return handle;
  }

  async #closeHandle(file: string): Promise<void> {
    const handle = this.#handles.get(file);
    this.#handles.delete(file);
    await handle?.close().catch(() => {});
  }

  async #dropFiles(actor: Actor, base: number): Promise<void> {
    try {
      for (const name of await readdir(join(this.#directory, JOURNAL_DIRECTORY))) {
        const identity = parseJournalName(name);
        if (identity?.actor !== actor || identity.segment >= base) continue;
        await this.#closeHandle(name);
        this.#unsynced.delete(name);
        await rm(this.#journalPath(name), { force: true });
      }
    } catch (error) {
      this.#failed(actor, error);
    }
  }

  async #writeValue(name: string, value: Uint8Array): Promise<void> {
    const path = join(this.#directory, VALUE_DIRECTORY, valueName(name));
    try {
      const handle = await open(`${path}.new`, "w", 0o600);
      try {
        await handle.writeFile(valueFile(value));
        await handle.datasync();
      } finally {
        await handle.close();
      }
      await rename(`${path}.new`, path);
      this.#writtenBytes += value.length;
    } catch (error) {
      this.#failed(name, error);
    }
  }

  async #sync(now: boolean): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (!now && nowMs - this.#syncedAtMs < STORE_SYNC_PERIOD_MS) return;
    this.#syncedAtMs = nowMs;
    for (const file of [...this.#unsynced]) {
      this.#unsynced.delete(file);
      try {
        await this.#handles.get(file)?.datasync();
      } catch (error) {
        this.#failed(file, error);
      }
    }
  }

  /** A disk that is full or broken stops the writing for a while, never the member: the others hold the sessions. */
  #failed(what: string, error: unknown): void {
    this.#writeErrorCount++;
    const wasPaused = this.#clock.nowMs() < this.#pausedUntilMs;
    this.#pausedUntilMs = this.#clock.nowMs() + STORE_RETRY_MS;
    if (wasPaused) return;
    const coded = new HoldfastError(
      "STORE_WRITE_FAILED",
      { directory: this.#directory, reason: codeOf(error) },
      { cause: error },
    );
    this.#logger.error({ code: coded.code, what, remedy: coded.remedy }, coded.message);
  }

  #journalPath(file: string): string {
    return join(this.#directory, JOURNAL_DIRECTORY, file);
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}

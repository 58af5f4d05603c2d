// Sessions and configuration on disk: one append-only file per journal segment, one per value, written
// behind.
//
// Why not an embedded database: its one memory-mapped file dies with its process (SIGBUS) when it is cut
// short, and damage anywhere costs everything. A journal is a sequence of appends that retires as a whole; a
// file is just that.
import { join } from "node:path";
import { type Clock, HoldfastError, type Logger, type Timer } from "@holdfast/model";
import type { Actor } from "../ports/journals.ts";
import type { Store, StoredState, StoreState } from "../ports/store.ts";
import { type Disk, errorCodeOf, machineDisk } from "./disk.ts";
import { JournalFiles } from "./journals.ts";
import { Attic } from "./put-aside.ts";
import { JOURNAL_DIRECTORY, readStore, VALUE_DIRECTORY } from "./read.ts";
import {
  changeRecord,
  journalName,
  parseJournalName,
  sealedRecord,
  VALUE_BYTES_MAX,
  valueName,
} from "./records.ts";
import { firstOf, ValueFiles } from "./values.ts";

/** Bytes that wait to be written. Beyond, appends are left out (their segments stay short) and counted. */
export const STORE_QUEUE_BYTES_MAX = 64 * 1024 * 1024;
/** How long operations gather before they are written together. */
export const STORE_GATHER_MS = 50;
/**
 * Written files are forced to disk at most this often: a power failure costs the last seconds, a crash
 * nothing.
 */
export const STORE_SYNC_PERIOD_MS = 2_000;
/** After a failed write, how long no journal is written; values that wait are tried again so often. */
export const STORE_RETRY_MS = 5_000;

type Operation =
  | { readonly kind: "append"; readonly file: string; readonly bytes: Buffer; readonly begins: boolean }
  | { readonly kind: "drop"; readonly actor: Actor; readonly base: number }
  | { readonly kind: "put"; readonly name: string; readonly value: Uint8Array }
  /** After a failure: whatever waits, or whether anything can be written at all. */
  | { readonly kind: "retry" }
  | { readonly kind: "flush"; readonly done: (failure: string | undefined) => void };

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
  /** Default: the machine's. */
  readonly disk?: Disk;
  /** After `load`, and whenever it changes. */
  readonly changed?: (state: StoreState) => void;
}

export class FileStore implements Store {
  readonly #options: FileStoreOptions;
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #disk: Disk;
  readonly #attic: Attic;
  readonly #journals: JournalFiles;
  readonly #values: ValueFiles;
  #queue: Operation[] = [];
  #queuedBytes = 0;
  #timer: Timer | undefined;
  #retry: Timer | undefined;
  #writing: Promise<void> | undefined;
  #closed = false;
  #pausedUntilMs = Number.NEGATIVE_INFINITY;
  /**
   * Ticks of each file that are written or queued; a file with a gap is absent until its segment begins anew.
   */
  readonly #ticks = new Map<string, number>();
  #syncedAtMs = 0;
  #state: StoreState = { failure: undefined, brokenCount: 0 };
  /** Something failed since the last round in which nothing did. */
  #failedInRound: string | undefined;
  #writtenBytes = 0;
  #leftOutCount = 0;
  #writeErrorCount = 0;

  /** Makes the directory. Errors: STORE_DIRECTORY_UNUSABLE. */
  static async open(options: FileStoreOptions): Promise<FileStore> {
    const store = new FileStore(options);
    try {
      for (const part of [JOURNAL_DIRECTORY, VALUE_DIRECTORY])
        await store.#disk.makeDirectory(join(options.directory, part));
      await store.#disk.syncDirectory(options.directory);
      await store.#disk.list(join(options.directory, JOURNAL_DIRECTORY));
    } catch (cause) {
      throw unusable(options.directory, cause);
    }
    // A disk that is full or read-only holds what this member wrote: it is read, and the member says that it
    // cannot write.
    await store.#values.probe().catch((error: unknown) => {
      if (errorCodeOf(error) === "EACCES") throw unusable(options.directory, error);
      store.#failed("probe", error);
      store.#tell();
    });
    return store;
  }

  /** Use `open`. */
  constructor(options: FileStoreOptions) {
    this.#options = options;
    this.#directory = options.directory;
    this.#clock = options.clock;
    this.#disk = options.disk ?? machineDisk;
    this.#attic = new Attic(this.#disk, () => this.#clock.wallMs());
    this.#journals = new JournalFiles(this.#disk, join(this.#directory, JOURNAL_DIRECTORY), (file, error) => {
      if (file !== undefined) this.#leaveOut(file, 1);
      this.#failed(file ?? JOURNAL_DIRECTORY, error);
    });
    this.#values = new ValueFiles(this.#disk, join(this.#directory, VALUE_DIRECTORY), this.#attic);
  }

  /** Errors: STORE_DIRECTORY_UNUSABLE when not even the names in it can be read. */
  async load(): Promise<StoredState> {
    const content = await readStore(this.#directory, { disk: this.#disk, attic: this.#attic }).catch(
      (cause: unknown) => {
        throw unusable(this.#directory, cause);
      },
    );
    this.#journals.loaded(content.goodBytes, content.stuck);
    this.#values.loaded(content.stuck);
    for (const file of content.stuck) this.#ticks.set(file, Number.POSITIVE_INFINITY);
    for (const segment of content.segments) {
      const file = journalName(segment.actor, segment.segment);
      if (!segment.sealed && !content.stuck.has(file)) this.#ticks.set(file, segment.changes.length);
    }
    for (const reason of content.damaged) {
      const coded = new HoldfastError("STORE_FILE_DAMAGED", { directory: this.#directory, reason });
      this.#options.logger.error({ code: coded.code, remedy: coded.remedy }, coded.message);
    }
    this.#state = { ...this.#state, brokenCount: content.brokenCount };
    this.#options.changed?.(this.#state);
    return content;
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

  flush(): Promise<string | undefined> {
    return new Promise((done) => {
      this.#push({ kind: "flush", done });
      this.#timer?.cancel();
      this.#timer = undefined;
      this.#write();
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    const failure = await this.flush();
    this.#closed = true;
    this.#timer?.cancel();
    this.#retry?.cancel();
    await this.#writing;
    await this.#sync(true);
    await this.#journals.close();
    if (failure === undefined) return;
    const coded = new HoldfastError("STORE_WRITE_FAILED", { directory: this.#directory, reason: failure });
    this.#options.logger.error({ code: coded.code }, `${coded.message} It is closed all the same.`);
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
      if (operation.kind === "flush") operation.done(this.#state.failure);
      return;
    }
    this.#queue.push(operation);
    if (operation.kind === "append") this.#queuedBytes += operation.bytes.length;
    this.#writeSoon();
  }

  #writeSoon(): void {
    if (this.#timer !== undefined || this.#writing !== undefined) return;
    this.#timer = this.#clock.after(STORE_GATHER_MS, () => {
      this.#timer = undefined;
      this.#write();
    });
  }

  #write(): void {
    if (this.#writing !== undefined) return;
    this.#writing = this.#writeAll().finally(() => {
      this.#writing = undefined;
      if (this.#queue.some((operation) => operation.kind === "flush")) this.#write();
      else if (this.#queue.length > 0 && !this.#closed) this.#writeSoon();
    });
  }

  async #writeAll(): Promise<void> {
    const operations = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#failedInRound = undefined;
    // Consecutive appends are gathered by file; everything else keeps its place.
    let run = new Map<string, { begins: boolean; parts: Buffer[] }>();
    const endRun = async () => {
      const files = run;
      run = new Map();
      for (const [file, { begins, parts }] of files) await this.#appendTo(file, begins, parts);
    };
    const flushed: ((failure: string | undefined) => void)[] = [];
    let tried: { readonly failure: string | undefined } | undefined;
    for (const operation of operations) {
      if (operation.kind === "append") {
        const entry = run.get(operation.file);
        if (entry === undefined)
          run.set(operation.file, { begins: operation.begins, parts: [operation.bytes] });
        else entry.parts.push(operation.bytes);
        continue;
      }
      await endRun();
      if (operation.kind === "drop") await this.#drop(operation.actor, operation.base);
      else if (operation.kind === "put") {
        this.#values.put(operation.name, operation.value);
        tried = { failure: await this.#writeValues() };
      } else if (operation.kind === "retry") await this.#tryAgain();
      else flushed.push(operation.done);
    }
    await endRun();
    // Whoever asks wants to know how it is now: an operator may have made room a moment ago.
    if (flushed.length > 0) tried ??= { failure: await this.#writeValues() };
    await this.#sync(flushed.length > 0);
    this.#tell();
    for (const done of flushed) done(tried?.failure);
  }

  async #appendTo(file: string, begins: boolean, parts: readonly Buffer[]): Promise<void> {
    const isShort = this.#journals.isShort(file) && !begins;
    if (this.#clock.nowMs() < this.#pausedUntilMs || isShort) {
      this.#leaveOut(file, parts.length);
      return;
    }
    try {
      this.#writtenBytes += await this.#journals.append(file, begins, parts);
    } catch (error) {
      this.#leaveOut(file, parts.length);
      this.#failed(file, error);
    }
  }

  #leaveOut(file: string, count: number): void {
    this.#leftOutCount += count;
    if (this.#ticks.has(file)) this.#ticks.set(file, Number.POSITIVE_INFINITY);
  }

  async #drop(actor: Actor, base: number): Promise<void> {
    try {
      await this.#journals.drop(actor, base);
    } catch (error) {
      this.#failed(actor, error);
    }
  }

  /** Resolves to what keeps a value from the disk. */
  async #writeValues(): Promise<string | undefined> {
    if (this.#values.unwrittenCount === 0) return undefined;
    const { bytes, failures } = await this.#values.write();
    this.#writtenBytes += bytes;
    for (const [name, error] of failures) this.#failed(name, error);
    // The disk takes something: journals need not wait any longer.
    if (failures.size === 0) this.#pausedUntilMs = Number.NEGATIVE_INFINITY;
    return firstOf(failures);
  }

  async #sync(now: boolean): Promise<void> {
    const nowMs = this.#clock.nowMs();
    if (!now && nowMs - this.#syncedAtMs < STORE_SYNC_PERIOD_MS) return;
    this.#syncedAtMs = nowMs;
    await this.#journals.sync();
  }

  /**
   * A disk that is full or broken stops the writing for a while, never the member: the others hold the
   * sessions.
   */
  #failed(what: string, error: unknown): void {
    this.#writeErrorCount++;
    this.#failedInRound ??= `${what}: ${errorCodeOf(error)}`;
    this.#pausedUntilMs = this.#clock.nowMs() + STORE_RETRY_MS;
    if (this.#retry === undefined && !this.#closed)
      this.#retry = this.#clock.after(STORE_RETRY_MS, () => {
        this.#retry = undefined;
        this.#push({ kind: "retry" });
      });
    if (this.#state.failure !== undefined) return;
    const coded = new HoldfastError(
      "STORE_WRITE_FAILED",
      { directory: this.#directory, reason: errorCodeOf(error) },
      { cause: error },
    );
    this.#options.logger.error({ code: coded.code, what, remedy: coded.remedy }, coded.message);
  }

  async #tryAgain(): Promise<void> {
    if (this.#values.unwrittenCount > 0) {
      await this.#writeValues();
      return;
    }
    try {
      await this.#values.probe();
      this.#pausedUntilMs = Number.NEGATIVE_INFINITY;
    } catch (error) {
      this.#failed("probe", error);
    }
  }

  /**
   * The state has changed with this round, or not: while nothing can be tried nothing is known to be well
   * again.
   */
  #tell(): void {
    const isPaused = this.#clock.nowMs() < this.#pausedUntilMs || this.#values.unwrittenCount > 0;
    const failure = this.#failedInRound ?? (isPaused ? this.#state.failure : undefined);
    if (failure === this.#state.failure) return;
    if (failure === undefined)
      this.#options.logger.info({ directory: this.#directory }, "the store can be written again");
    this.#state = { ...this.#state, failure };
    this.#options.changed?.(this.#state);
  }
}

function unusable(directory: string, cause: unknown): HoldfastError {
  return new HoldfastError("STORE_DIRECTORY_UNUSABLE", { directory, reason: errorCodeOf(cause) }, { cause });
}

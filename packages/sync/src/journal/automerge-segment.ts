// A segment as an Automerge document: root["TICK"] = payload, one change a tick, through the low-level
// interface, which costs a hundredth of the proxies.
import * as Automerge from "@automerge/automerge";
import type { Actor } from "../ports/journals.ts";
import { documentActorOf } from "./actor.ts";
import { type ChangeRefusal, encodeChange, type VerifiedChange, verifyChange } from "./change.ts";
import { EMPTY_HEAD, type JournalFactory, type Segment } from "./segment.ts";

type Handle = ReturnType<typeof Automerge.getBackend>;

/** Bytes that the scratch document of `growMemory` takes: three times as much is free afterwards. */
const GROW_SIZE = 3 * 1024 * 1024;
/** Bytes of changes that documents took in since memory was grown, after which it is grown again. */
const GROW_AFTER_SIZE = 1024 * 1024;
/** So often at most: what documents give back is used again, and M bounds what they hold. */
const GROW_COUNT_MAX = 12;

/** Bytes of changes that a segment keeps as they came; with more they go into its document. */
const KEPT_SIZE_MAX = 1024 * 1024;

const HASH_SIZE = 32;
/** Changes whose hashes there is room for at first; doubled when they are more. */
const HASH_COUNT_FIRST = 32;

/** Counts what should not happen, for the metrics. */
export const automergeTotals = { rebuilt: 0 };

class AutomergeSegment implements Segment {
  readonly actor: Actor;
  readonly number: number;
  readonly #documentActor: string;
  #handle: Handle | undefined;
  #ticks = 0;
  /** Verified, and not in the document. */
  #waiting: Automerge.Change[] = [];
  #waitingSize = 0;
  #head: Uint8Array = EMPTY_HEAD;
  /** Of every change, by tick: whoever fetches the last ones need not have all of them made. */
  #hashes = new Uint8Array(HASH_COUNT_FIRST * HASH_SIZE);

  constructor(actor: Actor, number: number) {
    this.actor = actor;
    this.number = number;
    this.#documentActor = documentActorOf(actor, number);
  }

  get ticks(): number {
    return this.#ticks;
  }

  get head(): Uint8Array {
    return this.#head;
  }

  append(payload: Uint8Array): VerifiedChange {
    // The chunk is made by the code that verifies it (change.test.ts compares it with Automerge's own), and
    // applied: a writer and its readers run the same path.
    const change = encodeChange(this.#documentActor, this.#ticks, this.#head, payload);
    this.apply(change);
    return change;
  }

  verify(change: Uint8Array): VerifiedChange | ChangeRefusal {
    return verifyChange(change, this.#documentActor, this.#ticks, this.#head);
  }

  /**
   * The document takes changes when they are many bytes, all at once: one by one each costs ten times as much,
   * and most segments retire before. Nothing depends on when, since a change was verified completely before it
   * came here.
   */
  apply(change: VerifiedChange): void {
    this.#waiting.push(change.bytes as Automerge.Change);
    this.#waitingSize += change.bytes.length;
    this.#keepHash(change.hash);
    this.#ticks++;
    this.#head = change.hash;
    if (this.#waitingSize >= KEPT_SIZE_MAX) this.#applyWaiting();
  }

  changes(from: number, to: number): Uint8Array[] {
    const inDocument = this.#ticks - this.#waiting.length;
    if (from >= inDocument) return this.#waiting.slice(from - inDocument, Math.max(0, to - inDocument));
    this.#applyWaiting();
    return this.#open()
      .getChanges(from === 0 ? [] : [this.#hashAt(from - 1)])
      .slice(0, to - from);
  }

  free(): void {
    this.#handle?.free();
    this.#handle = undefined;
    this.#waiting = [];
  }

  #keepHash(hash: Uint8Array): void {
    const at = this.#ticks * HASH_SIZE;
    if (at === this.#hashes.length) {
      const grown = new Uint8Array(at * 2);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes.set(hash, at);
  }

  #hashAt(tick: number): string {
    return Buffer.from(this.#hashes.buffer, tick * HASH_SIZE, HASH_SIZE).toString("hex");
  }

  #applyWaiting(): void {
    if (this.#waiting.length === 0) return;
    const handle = this.#open();
    const before = this.#ticks - this.#waiting.length;
    try {
      handle.applyChanges(this.#waiting);
    } catch (error) {
      // A handle that threw may be poisoned: build it anew from the changes that it had, then try once more.
      this.#rebuild(handle, before);
      try {
        this.#open().applyChanges(this.#waiting);
      } catch {
        throw error;
      }
    }
    took(this.#waiting);
    this.#waiting = [];
    this.#waitingSize = 0;
  }

  #open(): Handle {
    this.#handle ??= Automerge.getBackend(Automerge.init({ actor: this.#documentActor }));
    return this.#handle;
  }

  #rebuild(poisoned: Handle, ticks: number): void {
    automergeTotals.rebuilt++;
    const changes = poisoned.getChanges([]).slice(0, ticks);
    poisoned.free();
    this.#handle = undefined;
    if (changes.length > 0) this.#open().applyChanges(changes);
  }
}

export const automergeJournal: JournalFactory = {
  open: (actor, segment) => new AutomergeSegment(actor, segment),
};

let grownCount = 0;
let takenSize = 0;

/**
 * Sees to it that WASM memory has room: growing in the small steps in which documents need it drives the
 * garbage collector a thousand times. Takes some milliseconds. Call before ready; what is taken in later
 * grows it by itself, so that a member without sessions does without it.
 */
export function growMemory(): void {
  const handle = Automerge.getBackend(Automerge.init());
  handle.put("_root", "warm", new Uint8Array(GROW_SIZE));
  // Not committed: hashing the change would take a second.
  handle.rollback();
  handle.free();
  takenSize = 0;
  grownCount++;
}

function took(changes: readonly Automerge.Change[]): void {
  if (grownCount >= GROW_COUNT_MAX) return;
  for (const change of changes) takenSize += change.length;
  if (takenSize >= GROW_AFTER_SIZE) growMemory();
}

// A segment as an Automerge document: root["TICK"] = payload, one change a tick, through the low-level interface, which
// costs a hundredth of the proxies.
import * as Automerge from "@automerge/automerge";
import type { Actor } from "../ports.ts";
import { documentActorOf } from "./actor.ts";
import { type ChangeRefusal, encodeChange, type VerifiedChange, verifyChange } from "./change.ts";
import { EMPTY_HEAD, type JournalFactory, type Segment } from "./segment.ts";

type Handle = ReturnType<typeof Automerge.getBackend>;

/** Bytes that the scratch document of `growMemory` takes. */
const WARM_UP_SIZE = 32 * 1024 * 1024;

/** Counts what should not happen, for the metrics. */
export const automergeTotals = { rebuilt: 0 };

class AutomergeSegment implements Segment {
  readonly actor: Actor;
  readonly number: number;
  readonly #documentActor: string;
  #handle: Handle | undefined;
  #ticks = 0;
  #head: Uint8Array = EMPTY_HEAD;

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
    // The chunk is made by the code that verifies it (change.test.ts compares it with Automerge's own), and applied:
    // a writer and its readers run the same path.
    const change = encodeChange(this.#documentActor, this.#ticks, this.#head, payload);
    this.apply(change);
    return change;
  }

  verify(change: Uint8Array): VerifiedChange | ChangeRefusal {
    return verifyChange(change, this.#documentActor, this.#ticks, this.#head);
  }

  apply(change: VerifiedChange): void {
    const handle = this.#open();
    try {
      handle.applyChanges([change.bytes as Automerge.Change]);
    } catch (error) {
      // A handle that threw may be poisoned: build it anew from the changes that it had, then try once more.
      this.#rebuild(handle);
      try {
        this.#open().applyChanges([change.bytes as Automerge.Change]);
      } catch {
        throw error;
      }
    }
    this.#ticks++;
    this.#head = change.hash;
  }

  changes(from: number, to: number): Uint8Array[] {
    if (this.#handle === undefined || from >= this.#ticks) return [];
    return this.#handle.getChanges([]).slice(from, to);
  }

  free(): void {
    this.#handle?.free();
    this.#handle = undefined;
  }

  #open(): Handle {
    this.#handle ??= Automerge.getBackend(Automerge.init({ actor: this.#documentActor }));
    return this.#handle;
  }

  #rebuild(poisoned: Handle): void {
    automergeTotals.rebuilt++;
    const changes = poisoned.getChanges([]).slice(0, this.#ticks);
    poisoned.free();
    this.#handle = undefined;
    if (changes.length > 0) this.#open().applyChanges(changes);
  }
}

export const automergeJournal: JournalFactory = {
  open: (actor, segment) => new AutomergeSegment(actor, segment),
};

/** Grows WASM memory once: small steps drive the garbage collector a thousand times. Call before ready. */
export function growMemory(): void {
  const handle = Automerge.getBackend(Automerge.init());
  handle.put("_root", "warm", new Uint8Array(WARM_UP_SIZE));
  handle.commit(undefined, 0);
  handle.free();
}

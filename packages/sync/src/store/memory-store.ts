// A disk in memory: what a simulated member finds again after its crash.
import type { Actor } from "../ports/journals.ts";
import type { Store, StoredState } from "../ports/store.ts";
import { journalName, parseJournalName } from "./records.ts";

interface Segment {
  readonly changes: Uint8Array[];
  sealed: boolean;
}

/** Outlives the members that open it, one after the other. */
export class MemoryDisk {
  #segments = new Map<string, Segment>();
  #values = new Map<string, Uint8Array>();
  #pending: (() => void)[] = [];

  /** A store on this disk, as a started member has it; what an earlier one had not flushed is gone. */
  open(): Store {
    this.#pending = [];
    return {
      load: () => Promise.resolve(this.#state()),
      append: (actor, segment, tick, change) => {
        const copy = new Uint8Array(change);
        this.#pending.push(() => this.#append(actor, segment, tick, copy));
      },
      seal: (actor, segment) => {
        this.#pending.push(() => {
          const found = this.#segments.get(journalName(actor, segment));
          if (found !== undefined) found.sealed = true;
        });
      },
      drop: (actor, base) => {
        this.#pending.push(() => this.#drop(actor, base));
      },
      put: (name, value) => {
        const copy = new Uint8Array(value);
        this.#pending.push(() => this.#values.set(name, copy));
      },
      flush: () => this.#flush(),
      close: async () => void (await this.#flush()),
    };
  }

  /** Writes what waits, as the write-behind of a real disk does after a while. */
  settle(): void {
    for (const operation of this.#pending.splice(0)) operation();
  }

  /** A crash: what waits is lost. */
  crash(): void {
    this.#pending = [];
  }

  /** Loses everything, as a replaced machine does. */
  wipe(): void {
    this.#segments.clear();
    this.#values.clear();
    this.#pending = [];
  }

  #flush(): Promise<undefined> {
    this.settle();
    return Promise.resolve(undefined);
  }

  #append(actor: Actor, segment: number, tick: number, change: Uint8Array): void {
    const name = journalName(actor, segment);
    const found = this.#segments.get(name) ?? { changes: [], sealed: false };
    // A tick that is not the next one stands behind a gap, or is held already.
    if (tick !== found.changes.length || found.sealed) return;
    found.changes.push(change);
    this.#segments.set(name, found);
  }

  #drop(actor: Actor, base: number): void {
    for (const name of this.#segments.keys()) {
      const identity = parseJournalName(name);
      if (identity?.actor === actor && identity.segment < base) this.#segments.delete(name);
    }
  }

  #state(): StoredState {
    const segments = [...this.#segments].map(([name, { changes, sealed }]) => {
      const { actor = "", segment = 0 } = parseJournalName(name) ?? {};
      return { actor, segment, sealed, changes: changes.map((change) => new Uint8Array(change)) };
    });
    segments.sort((a, b) => (a.actor < b.actor ? -1 : a.actor > b.actor ? 1 : a.segment - b.segment));
    return { segments, values: new Map(this.#values), damaged: [] };
  }
}

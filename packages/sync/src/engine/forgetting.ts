// What the view is told to forget: sessions that no journal here mentions any longer, and records that came
// as answers and that no journal ever brought.
import type { ToView } from "../ports/link.ts";
import type { Store } from "../ports/store.ts";
import type { IdTable } from "./id-table.ts";
import type { Loose } from "./loose.ts";
import type { HeldJournal, Shelf } from "./shelf.ts";
import type { Totals } from "./totals.ts";

export interface ForgettingPorts {
  readonly shelf: Shelf;
  readonly ids: IdTable;
  readonly loose: Loose;
  readonly store: Store;
  readonly totals: Totals;
  /** The last `local` message that was taken in. */
  readonly sequence: () => number;
  readonly post: (message: ToView) => void;
}

export class Forgetting {
  readonly #ports: ForgettingPorts;

  constructor(ports: ForgettingPorts) {
    this.#ports = ports;
  }

  /** Drops a journal's segments below `base`, the whole journal when it is Infinity. */
  drop(journal: HeldJournal, base: number): void {
    const { shelf, ids, store, totals } = this.#ports;
    const whole = base === Number.POSITIVE_INFINITY;
    const gone = whole ? shelf.remove(journal) : shelf.drop(journal, base);
    store.drop(journal.actor, base);
    if (gone.length === 0) return;
    const list = new Uint8Array(gone.length * 16);
    for (const [i, index] of gone.entries()) {
      ids.write(index, list, i * 16);
      ids.release(index);
    }
    totals.count("forgotten", gone.length);
    this.#forget(list);
  }

  expireLoose(): void {
    const expired = this.#ports.loose.expired();
    if (expired.length === 0) return;
    const list = new Uint8Array(expired.length * 16);
    for (const [i, id] of expired.entries()) list.set(id.subarray(0, 16), i * 16);
    this.#forget(list);
  }

  #forget(ids: Uint8Array): void {
    this.#ports.post({ kind: "forget", sequence: this.#ports.sequence(), ids });
  }
}

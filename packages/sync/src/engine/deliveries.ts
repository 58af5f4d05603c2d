// Deltas on their way to the view: batches with credit, so that a catch-up of a hundred thousand sessions never takes
// more than its share of the view's event loop. Live ticks overtake what is fetched: the join does not mind.
import type { ToEngine, ToView } from "../ports.ts";
import { BatchWriter, readIds } from "./batch.ts";
import type { IdTable } from "./id-table.ts";
import type { ReplicationSettings } from "./settings.ts";
import type { HeldJournal, HeldSegment } from "./shelf.ts";

/** One tick's deltas. */
interface Item {
  readonly journal: HeldJournal | undefined;
  readonly held: HeldSegment | undefined;
  /** Ticks of the segment that are joined with this one. */
  readonly ticks: number;
  readonly deltas: readonly Uint8Array[];
  next: number;
}

interface Sent {
  /** Per delta: index, its life, journal, segment. */
  readonly marks: number[];
  readonly completed: Item[];
}

export interface DeliveryPorts {
  readonly settings: ReplicationSettings;
  readonly ids: IdTable;
  readonly post: (message: ToView) => void;
  /** The view has joined this segment up to `ticks`. */
  readonly joined: (journal: HeldJournal, held: HeldSegment) => void;
  readonly contradicted: (ids: Uint8Array[]) => void;
  /** The queue became short enough to fetch more. */
  readonly drained: () => void;
}

export class Deliveries {
  readonly #ports: DeliveryPorts;
  readonly #live: Item[] = [];
  readonly #fetched: Item[] = [];
  readonly #sent = new Map<number, Sent>();
  #nextBatch = 1;
  #waiting = 0;

  constructor(ports: DeliveryPorts) {
    this.#ports = ports;
  }

  /** Deltas that the view has not been handed. */
  get waiting(): number {
    return this.#waiting;
  }

  get idle(): boolean {
    return this.#waiting === 0 && this.#sent.size === 0;
  }

  add(
    journal: HeldJournal | undefined,
    held: HeldSegment | undefined,
    ticks: number,
    deltas: readonly Uint8Array[],
    live: boolean,
  ): void {
    (live ? this.#live : this.#fetched).push({ journal, held, ticks, deltas, next: 0 });
    this.#waiting += deltas.length;
    this.#pump();
  }

  joined(message: Extract<ToEngine, { kind: "joined" }>): void {
    const sent = this.#sent.get(message.batch);
    if (sent === undefined) return;
    this.#sent.delete(message.batch);
    const { ids, joined, contradicted, drained, settings } = this.#ports;
    for (let i = 0; i * 4 < sent.marks.length; i++) {
      if (((message.covered[i >> 3] ?? 0) & (1 << (i & 7))) === 0) continue;
      const [index, life, journal, segment] = sent.marks.slice(i * 4, i * 4 + 4) as [
        number,
        number,
        number,
        number,
      ];
      if (journal >= 0 && ids.life(index) === life) ids.cover(index, journal, segment);
    }
    for (const { journal, held, ticks } of sent.completed) {
      if (journal === undefined || held === undefined) continue;
      held.joined = Math.max(held.joined, ticks);
      joined(journal, held);
    }
    if (message.contradicted.length > 0) contradicted([...readIds(message.contradicted)]);
    this.#pump();
    if (this.#waiting < settings.deliveryPauseCount) drained();
  }

  #pump(): void {
    const { settings, post } = this.#ports;
    while (this.#sent.size < settings.batchCountMax && (this.#live.length > 0 || this.#fetched.length > 0)) {
      const sent: Sent = { marks: [], completed: [] };
      const writer = new BatchWriter();
      while (writer.count < settings.batchDeltaMax) {
        const queue = this.#live.length > 0 ? this.#live : this.#fetched;
        const item = queue[0];
        if (item === undefined) break;
        this.#fill(writer, sent, item);
        if (item.next < item.deltas.length) break;
        queue.shift();
        sent.completed.push(item);
      }
      const batch = this.#nextBatch++;
      this.#sent.set(batch, sent);
      this.#waiting -= writer.count;
      post({ kind: "deliver", batch, deltas: writer.take() });
    }
  }

  #fill(writer: BatchWriter, sent: Sent, item: Item): void {
    const { ids, settings } = this.#ports;
    const journal = item.journal?.index ?? -1;
    const segment = item.held?.segment.number ?? -1;
    while (item.next < item.deltas.length && writer.count < settings.batchDeltaMax) {
      const delta = item.deltas[item.next++] as Uint8Array;
      writer.add(delta);
      const index = ids.find(delta) ?? -1;
      sent.marks.push(index, index < 0 ? -1 : ids.life(index), index < 0 ? -1 : journal, segment);
    }
  }
}

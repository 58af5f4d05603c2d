// Deltas on their way to the view: batches with credit, so that a catch-up of a hundred thousand sessions
// never takes more than its share of the view's event loop. Answers, for which a packet waits, overtake live
// ticks, and these what is fetched: the join does not mind.
import type { ToEngine, ToView } from "../ports/link.ts";
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
  /** The index (id-table) of each; empty when no journal brought them. */
  readonly indices: readonly number[];
  next: number;
}

export type Urgency = "answer" | "live" | "fetched";

interface Sent {
  /** Per delta: index, its life, journal, segment. */
  readonly marks: number[];
  readonly completed: Item[];
}

export interface DeliveryPorts {
  readonly settings: ReplicationSettings;
  readonly ids: IdTable;
  readonly post: (message: ToView) => void;
  /** The last `local` message that was taken in. */
  readonly sequence: () => number;
  /** The view has joined this segment up to `ticks`. */
  readonly joined: (journal: HeldJournal, held: HeldSegment) => void;
  readonly contradicted: (ids: Uint8Array[]) => void;
  /** The queue became short enough to fetch more. */
  readonly drained: () => void;
}

export class Deliveries {
  readonly #ports: DeliveryPorts;
  /** In the order in which they are emptied. */
  readonly #queues: Record<Urgency, Item[]> = { answer: [], live: [], fetched: [] };
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

  /** One tick's deltas. `indices` as in `Item`. */
  add(
    journal: HeldJournal | undefined,
    held: HeldSegment | undefined,
    deltas: readonly Uint8Array[],
    indices: readonly number[],
    urgency: Urgency,
  ): void {
    const ticks = held?.segment.ticks ?? 0;
    this.#queues[urgency].push({ journal, held, ticks, deltas, indices, next: 0 });
    this.#waiting += deltas.length;
    this.#pump();
  }

  joined(message: Extract<ToEngine, { kind: "joined" }>): void {
    const sent = this.#sent.get(message.batch);
    if (sent === undefined) return;
    this.#sent.delete(message.batch);
    const { ids, joined, contradicted, drained, settings } = this.#ports;
    const { marks } = sent;
    for (let i = 0, at = 0; at < marks.length; i++, at += 4) {
      if (((message.covered[i >> 3] ?? 0) & (1 << (i & 7))) === 0) continue;
      const index = marks[at] as number;
      if (index >= 0 && ids.life(index) === marks[at + 1])
        ids.cover(index, marks[at + 2] as number, marks[at + 3] as number);
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

  #next(): Item[] | undefined {
    const { answer, live, fetched } = this.#queues;
    if (answer.length > 0) return answer;
    if (live.length > 0) return live;
    return fetched.length > 0 ? fetched : undefined;
  }

  #pump(): void {
    const { settings, post, sequence } = this.#ports;
    while (this.#sent.size < settings.batchCountMax && this.#next() !== undefined) {
      const sent: Sent = { marks: [], completed: [] };
      const writer = new BatchWriter();
      while (writer.count < settings.batchDeltaMax) {
        const queue = this.#next();
        const item = queue?.[0];
        if (queue === undefined || item === undefined) break;
        this.#fill(writer, sent, item);
        if (item.next < item.deltas.length) break;
        queue.shift();
        sent.completed.push(item);
      }
      const batch = this.#nextBatch++;
      this.#sent.set(batch, sent);
      this.#waiting -= writer.count;
      post({ kind: "deliver", batch, sequence: sequence(), deltas: writer.take() });
    }
  }

  #fill(writer: BatchWriter, sent: Sent, item: Item): void {
    const { ids, settings } = this.#ports;
    const journal = item.journal?.index ?? -1;
    const segment = item.held?.segment.number ?? -1;
    while (item.next < item.deltas.length && writer.count < settings.batchDeltaMax) {
      const at = item.next++;
      const index = item.indices[at] ?? -1;
      writer.add(item.deltas[at] as Uint8Array);
      sent.marks.push(index, index < 0 ? -1 : ids.life(index), journal, segment);
    }
  }
}

// The simulated network: per network and pair of members it carries, delays, loses or cuts.
import type { Random } from "@holdfast/model";
import type { Message } from "../../wire/message.ts";

export interface NetworkFaults {
  /** Share of datagrams that are lost, 0 … 1. */
  lossShare: number;
  /** Delay of a datagram: least, and how much more at most; ms. */
  delayMs: number;
  jitterMs: number;
}

export class SimulatedNetwork {
  readonly faults: NetworkFaults = { lossShare: 0, delayMs: 0.1, jitterMs: 0.4 };
  private readonly random: Random;
  /** `NETWORK/FROM/TO` that do not carry. */
  private readonly cuts = new Set<string>();

  constructor(random: Random) {
    this.random = random;
  }

  cut(network: number, from: number, to: number): void {
    this.cuts.add(`${network}/${from}/${to}`);
  }

  heal(): void {
    this.cuts.clear();
  }

  /** Delay of this datagram over this network, or undefined when it is lost. */
  carry(network: number, message: Message): number | undefined {
    if (this.cuts.size > 0 && this.cuts.has(`${network}/${message.from}/${message.to}`)) return undefined;
    const chance = this.random.uint32() / 2 ** 32;
    if (chance < this.faults.lossShare) return undefined;
    return this.faults.delayMs + this.faults.jitterMs * chance;
  }
}

/** A queue of timed actions; the earliest first, equals in the order of their arrival. */
export class TimedQueue<T> {
  private readonly heap: { atMs: number; order: number; item: T }[] = [];
  private order = 0;

  push(atMs: number, item: T): void {
    const { heap } = this;
    let index = heap.length;
    heap.push({ atMs, order: this.order++, item });
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.before(index, parent)) break;
      this.swap(index, parent);
      index = parent;
    }
  }

  /** The next item due at `nowMs` or earlier. */
  pop(nowMs: number): { atMs: number; item: T } | undefined {
    const { heap } = this;
    const first = heap[0];
    if (first === undefined || first.atMs > nowMs) return undefined;
    const last = heap.pop();
    if (heap.length > 0 && last !== undefined) {
      heap[0] = last;
      let index = 0;
      for (;;) {
        const left = index * 2 + 1;
        let least = index;
        if (left < heap.length && this.before(left, least)) least = left;
        if (left + 1 < heap.length && this.before(left + 1, least)) least = left + 1;
        if (least === index) break;
        this.swap(index, least);
        index = least;
      }
    }
    return first;
  }

  private before(a: number, b: number): boolean {
    const left = this.heap[a];
    const right = this.heap[b];
    if (left === undefined || right === undefined) return false;
    return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order);
  }

  private swap(a: number, b: number): void {
    const item = this.heap[a] as (typeof this.heap)[number];
    this.heap[a] = this.heap[b] as (typeof this.heap)[number];
    this.heap[b] = item;
  }
}

// Punts wait here for the slow path's turn: bounded, and rated by reason, so that a flood of one kind leaves room for
// the others.
import type { Punt, PuntReason } from "../port.ts";

/** Punts that wait; what comes on top is dropped as `punt-queue`. */
export const PUNT_QUEUE_COUNT_MAX = 2048;
/** Punts delivered in one turn of the event loop. */
export const PUNT_TURN_COUNT_MAX = 256;

/** Packets a second that each reason may punt; a bucket holds one second's worth. */
export type PuntRates = Readonly<Partial<Record<PuntReason, number>>>;

export const PUNT_RATES_DEFAULT: PuntRates = { wrongTag: 1_000, miss: 20_000, learn: 20_000, icmp: 5_000 };
const OTHER_RATE = 60_000;

export class PuntQueue {
  readonly #rates: PuntRates;
  readonly #buckets = new Map<PuntReason, { tokens: number; filledAtMs: number }>();
  readonly #waiting: Punt[] = [];
  #first = 0;

  constructor(rates: PuntRates = PUNT_RATES_DEFAULT) {
    this.#rates = rates;
  }

  get size(): number {
    return this.#waiting.length - this.#first;
  }

  /** Queues the punt with a copy of its packet, or says why not. */
  push(punt: Punt): "punt-rate" | "punt-queue" | undefined {
    if (this.size >= PUNT_QUEUE_COUNT_MAX) return "punt-queue";
    if (!this.#take(punt.reason, punt.timeMs)) return "punt-rate";
    this.#waiting.push({ ...punt, packet: punt.packet.slice() });
    return undefined;
  }

  shift(): Punt | undefined {
    const punt = this.#waiting[this.#first];
    if (punt === undefined) return undefined;
    this.#first += 1;
    if (this.#first === this.#waiting.length) {
      this.#waiting.length = 0;
      this.#first = 0;
    }
    return punt;
  }

  #take(reason: PuntReason, nowMs: number): boolean {
    const rate = this.#rates[reason] ?? OTHER_RATE;
    let bucket = this.#buckets.get(reason);
    if (bucket === undefined) {
      bucket = { tokens: rate, filledAtMs: nowMs };
      this.#buckets.set(reason, bucket);
    }
    bucket.tokens = Math.min(rate, bucket.tokens + ((nowMs - bucket.filledAtMs) * rate) / 1000);
    bucket.filledAtMs = nowMs;
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}

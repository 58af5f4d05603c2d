// Punts wait here for the slow path's turn: bounded, and rated by reason, so that a flood of one kind leaves
// room for the others. What established associations sent stands in a queue of its own, which goes first and
// which no stranger fills.
import { TokenBucket } from "../../counters/token-bucket.ts";
import type { Punt, PuntReason } from "../port.ts";

/** Punts that wait, of associations and of others; what comes on top is dropped as `punt-queue`. */
export const PUNT_QUEUE_COUNT_MAX = 2048;
/** … of one of the kinds below, which strangers can send as large as they like. */
const SMALL_COUNT_MAX = 256;
/** Punts delivered in one turn of the event loop. */
export const PUNT_TURN_COUNT_MAX = 256;

/** Packets a second that each reason may punt; a bucket holds one second's worth. */
export type PuntRates = Readonly<Partial<Record<PuntReason, number>>>;

export const PUNT_RATES_DEFAULT: PuntRates = {
  wrongTag: 1_000,
  miss: 20_000,
  learn: 20_000,
  icmp: 3_000,
  fragment: 3_000,
  ndp: 3_000,
};
const OTHER_RATE = 60_000;
/** Of proven ones, all reasons together. */
const PROVEN_RATE = 60_000;
/** Kinds whose rates are small: one source prefix gets no more than a part … */
const SMALL: ReadonlySet<PuntReason> = new Set(["wrongTag", "icmp", "fragment", "ndp"]);
const PREFIX_RATE = 1_000;
/** … in one of so many places, which it may share with others. */
const PREFIX_COUNT = 4096;

export class PuntQueue {
  readonly #rates: PuntRates;
  readonly #buckets = new Map<PuntReason, TokenBucket>();
  readonly #prefixes: (TokenBucket | undefined)[] = new Array<undefined>(PREFIX_COUNT).fill(undefined);
  readonly #proven = new Waiting();
  readonly #others = new Waiting();
  readonly #smallCounts = new Map<PuntReason, number>();
  readonly #provenRate = new TokenBucket(PROVEN_RATE);

  constructor(rates: PuntRates = PUNT_RATES_DEFAULT) {
    this.#rates = rates;
  }

  get size(): number {
    return this.#proven.size + this.#others.size;
  }

  /** Queues the punt with a copy of its packet, or says why not. */
  push(punt: Punt): "punt-rate" | "punt-queue" | undefined {
    const queue = punt.proven === true ? this.#proven : this.#others;
    const isSmall = punt.proven !== true && SMALL.has(punt.reason);
    const waiting = isSmall ? (this.#smallCounts.get(punt.reason) ?? 0) : 0;
    if (queue.size >= PUNT_QUEUE_COUNT_MAX || waiting >= SMALL_COUNT_MAX) return "punt-queue";
    if (isSmall && !this.#prefixOf(punt).take(punt.timeMs)) return "punt-rate";
    if (!this.#rateOf(punt).take(punt.timeMs)) return "punt-rate";
    if (isSmall) this.#smallCounts.set(punt.reason, waiting + 1);
    queue.push({ ...punt, packet: punt.packet.slice() });
    return undefined;
  }

  shift(): Punt | undefined {
    const punt = this.#proven.shift() ?? this.#others.shift();
    if (punt !== undefined && punt.proven !== true && SMALL.has(punt.reason))
      this.#smallCounts.set(punt.reason, (this.#smallCounts.get(punt.reason) ?? 1) - 1);
    return punt;
  }

  #rateOf({ proven, reason }: Punt): TokenBucket {
    if (proven === true) return this.#provenRate;
    let bucket = this.#buckets.get(reason);
    if (bucket === undefined) {
      bucket = new TokenBucket(this.#rates[reason] ?? OTHER_RATE);
      this.#buckets.set(reason, bucket);
    }
    return bucket;
  }

  #prefixOf({ packet, reason }: Punt): TokenBucket {
    // /24 of IPv4, /64 of IPv6.
    const [at, size] = (packet[0] ?? 0) >>> 4 === 4 ? [12, 3] : [8, 8];
    let hash = reason.length;
    for (let i = 0; i < size; i++) hash = Math.imul(hash ^ (packet[at + i] ?? 0), 0x01000193);
    const place = ((hash ^ (hash >>> 15)) >>> 0) % PREFIX_COUNT;
    let bucket = this.#prefixes[place];
    if (bucket === undefined) {
      bucket = new TokenBucket(PREFIX_RATE);
      this.#prefixes[place] = bucket;
    }
    return bucket;
  }
}

/** First in, first out; the array is emptied when all of it was taken. */
class Waiting {
  readonly #punts: Punt[] = [];
  #first = 0;

  get size(): number {
    return this.#punts.length - this.#first;
  }

  push(punt: Punt): void {
    this.#punts.push(punt);
  }

  shift(): Punt | undefined {
    const punt = this.#punts[this.#first];
    if (punt === undefined) return undefined;
    this.#first += 1;
    if (this.#first === this.#punts.length) {
      this.#punts.length = 0;
      this.#first = 0;
    } else if (this.#first >= PUNT_QUEUE_COUNT_MAX) {
      this.#punts.splice(0, this.#first);
      this.#first = 0;
    }
    return punt;
  }
}

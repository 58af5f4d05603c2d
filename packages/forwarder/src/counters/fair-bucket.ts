// A rate of which no source gets more than a part: a token bucket for all, and one for each source before it.
// Sources share a fixed number of places, so that making up sources costs nobody memory.
import { TokenBucket } from "./token-bucket.ts";

/** A source's part of the whole. */
const SHARE = 10;
const PLACE_COUNT = 1_024;

export class FairBucket {
  readonly #all: TokenBucket;
  readonly #perSource: number;
  readonly #places: (TokenBucket | undefined)[] = new Array<undefined>(PLACE_COUNT).fill(undefined);
  readonly #seed: number;

  /** `seed`: secret, so that nobody outside can aim at another's place. */
  constructor(perSecond: number, seed: number) {
    this.#all = new TokenBucket(perSecond);
    this.#perSource = Math.max(1, perSecond / SHARE);
    this.#seed = seed;
  }

  /** true: take it. */
  take(nowMs: number, source: string): boolean {
    let hash = this.#seed | 0;
    for (let i = 0; i < source.length; i++) hash = Math.imul(hash ^ source.charCodeAt(i), 0x01000193);
    const place = ((hash ^ (hash >>> 15)) >>> 0) % PLACE_COUNT;
    let own = this.#places[place];
    if (own === undefined) {
      own = new TokenBucket(this.#perSource);
      this.#places[place] = own;
    }
    return own.take(nowMs) && this.#all.take(nowMs);
  }
}

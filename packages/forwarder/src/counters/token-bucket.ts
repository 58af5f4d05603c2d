// A rate with a burst of one second's worth. Time comes with the call.

export class TokenBucket {
  readonly #perSecond: number;
  readonly #burst: number;
  #tokens: number;
  #atMs = Number.NEGATIVE_INFINITY;

  constructor(perSecond: number, burst: number = perSecond) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#tokens = burst;
  }

  /** true: take it. */
  take(nowMs: number): boolean {
    if (this.#atMs !== Number.NEGATIVE_INFINITY) {
      const gained = ((nowMs - this.#atMs) * this.#perSecond) / 1_000;
      this.#tokens = Math.min(this.#burst, this.#tokens + Math.max(0, gained));
    }
    this.#atMs = nowMs;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

// The round of housekeeping through a table of the fast path, a part of it each turn.

export class Sweep {
  /** Where the round goes on; undefined: between two. */
  #cursor: unknown;
  #startedMs = Number.NEGATIVE_INFINITY;
  #tookMs = 0;

  /** How long the last round took, ms: what it tells of a flow may be so old. */
  get tookMs(): number {
    return this.#tookMs;
  }

  /**
   * Visits what is next; a round begins `periodMs` after the last one began at the earliest. `visit` goes on
   * at the cursor and returns the next, as the fast path's sweep does.
   */
  turn(nowMs: number, periodMs: number, visit: (cursor: unknown) => unknown): void {
    if (this.#cursor === undefined) {
      if (nowMs - this.#startedMs < periodMs) return;
      this.#startedMs = nowMs;
    }
    this.#cursor = visit(this.#cursor);
    const tookMs = nowMs - this.#startedMs;
    this.#tookMs = this.#cursor === undefined ? tookMs : Math.max(this.#tookMs, tookMs);
  }
}

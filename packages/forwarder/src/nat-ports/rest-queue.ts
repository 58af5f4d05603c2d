// Ports that rest, in the order in which they were given back. All of one queue rest equally long, so that is
// also the order in which they wake.

export interface Rest {
  readonly port: number;
  /** Tells this rest from an earlier one of the same port. */
  readonly sequence: number;
  readonly sinceMs: number;
}

/** How many taken entries may stay in front before the array is cut. */
const SLACK_COUNT_MAX = 1_024;

export class RestQueue {
  #entries: Rest[] = [];
  #head = 0;

  add(port: number, sequence: number, sinceMs: number): void {
    this.#entries.push({ port, sequence, sinceMs });
  }

  /** Those that were not taken yet, the longest resting first. */
  *entries(): Generator<Rest> {
    for (let at = this.#head; at < this.#entries.length; at++) yield this.#entries[at] as Rest;
  }

  /** Takes the longest resting entry, when it was given back at `beforeMs` or earlier. */
  takeOlderThan(beforeMs: number): Rest | undefined {
    const entry = this.#entries[this.#head];
    if (entry === undefined || entry.sinceMs > beforeMs) return undefined;
    this.#head += 1;
    if (this.#head > SLACK_COUNT_MAX && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }
}

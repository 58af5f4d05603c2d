// What waits in the order in which it came.

/** How many taken entries may stay in front before the array is cut. */
const SLACK_COUNT_MAX = 1_024;

export class Fifo<T> {
  #entries: T[] = [];
  #head = 0;

  get size(): number {
    return this.#entries.length - this.#head;
  }

  get first(): T | undefined {
    return this.#entries[this.#head];
  }

  /** Those that were not taken, the first first. */
  *[Symbol.iterator](): Generator<T> {
    for (let at = this.#head; at < this.#entries.length; at++) yield this.#entries[at] as T;
  }

  add(entry: T): void {
    this.#entries.push(entry);
  }

  shift(): T | undefined {
    const entry = this.#entries[this.#head];
    if (entry === undefined) return undefined;
    this.#head += 1;
    if (this.#head > SLACK_COUNT_MAX && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  /** All of them; none is left. */
  takeAll(): T[] {
    const all = [...this];
    this.#entries = [];
    this.#head = 0;
    return all;
  }
}

// A list in the order of age, from whose middle anybody may be taken: two links in each entry. A Map would
// keep that order too, but its deleted entries stay until it is rebuilt, and whoever asks for the first steps
// over them all.

export interface Aged<T> {
  older: T | undefined;
  younger: T | undefined;
}

export class AgeList<T extends Aged<T>> {
  #oldest: T | undefined;
  #youngest: T | undefined;

  get oldest(): T | undefined {
    return this.#oldest;
  }

  /** Whether `entry`, which is in this list or in none, is in this list. */
  has(entry: T): boolean {
    return entry.older !== undefined || entry.younger !== undefined || this.#oldest === entry;
  }

  /** `entry` is in no list. */
  add(entry: T): void {
    entry.older = this.#youngest;
    if (this.#youngest === undefined) this.#oldest = entry;
    else this.#youngest.younger = entry;
    this.#youngest = entry;
  }

  /** Nothing happens when it is not in the list. */
  delete(entry: T): void {
    if (!this.has(entry)) return;
    if (entry.older === undefined) this.#oldest = entry.younger;
    else entry.older.younger = entry.younger;
    if (entry.younger === undefined) this.#youngest = entry.older;
    else entry.younger.older = entry.older;
    entry.older = undefined;
    entry.younger = undefined;
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (let entry = this.#oldest; entry !== undefined; entry = entry.younger) yield entry;
  }
}

// Finds slots by the hash of a key without keeping the key: two words an entry, where a map of strings takes a hundred
// bytes. Hashes collide, so whoever looks up compares what the slot holds.

const EMPTY = 0;
const REMOVED = 0xffff_ffff;
const INITIAL_COUNT = 1024;
/** Used or removed places over all, at most. */
const LOAD_MAX = 0.6;

export class SlotIndex {
  #hashes = new Uint32Array(INITIAL_COUNT);
  /** Slot + 1. */
  #slots = new Uint32Array(INITIAL_COUNT);
  #used = 0;
  #count = 0;

  get size(): number {
    return this.#count;
  }

  add(hash: number, slot: number): void {
    if (this.#used + 1 > this.#slots.length * LOAD_MAX) this.#rebuild();
    let at = hash & (this.#slots.length - 1);
    for (;;) {
      const held = this.#slots[at] as number;
      if (held === EMPTY || held === REMOVED) {
        if (held === EMPTY) this.#used++;
        this.#slots[at] = slot + 1;
        this.#hashes[at] = hash;
        this.#count++;
        return;
      }
      at = (at + 1) & (this.#slots.length - 1);
    }
  }

  remove(hash: number, slot: number): void {
    const mask = this.#slots.length - 1;
    for (let at = hash & mask; this.#slots[at] !== EMPTY; at = (at + 1) & mask) {
      if (this.#slots[at] !== slot + 1 || this.#hashes[at] !== hash) continue;
      this.#slots[at] = REMOVED;
      this.#count--;
      return;
    }
  }

  /** Slots that were added under this hash, and no other. */
  find(hash: number): number[] {
    const found: number[] = [];
    const mask = this.#slots.length - 1;
    for (let at = hash & mask; this.#slots[at] !== EMPTY; at = (at + 1) & mask) {
      const held = this.#slots[at] as number;
      if (held !== REMOVED && this.#hashes[at] === hash) found.push(held - 1);
    }
    return found;
  }

  /** Twice the room when it is full of entries, the same when it is full of removed ones. */
  #rebuild(): void {
    const [hashes, slots] = [this.#hashes, this.#slots];
    const length = this.#count * 2 > slots.length * LOAD_MAX ? slots.length * 2 : slots.length;
    this.#hashes = new Uint32Array(length);
    this.#slots = new Uint32Array(length);
    this.#used = 0;
    this.#count = 0;
    for (let at = 0; at < slots.length; at++) {
      const held = slots[at] as number;
      if (held !== EMPTY && held !== REMOVED) this.add(hashes[at] as number, held - 1);
    }
  }
}

/** FNV-1a of the code units, then mixed: neighbouring addresses must not make runs. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (hash ^ (hash >>> 13)) >>> 0;
}

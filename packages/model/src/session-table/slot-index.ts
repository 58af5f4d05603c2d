// Finds slots by the hash of a key without keeping the key: two words an entry, where a map of strings takes
// a hundred bytes. Hashes collide, so whoever looks up compares what the slot holds.

const EMPTY = 0;
const INITIAL_COUNT = 1024;
/** Used places over all, at most. */
const LOAD_MAX = 0.6;

export class SlotIndex {
  #hashes = new Uint32Array(INITIAL_COUNT);
  /** Slot + 1. */
  #slots = new Uint32Array(INITIAL_COUNT);
  #count = 0;

  get size(): number {
    return this.#count;
  }

  add(hash: number, slot: number): void {
    if (this.#count + 1 > this.#slots.length * LOAD_MAX) this.#grow();
    const mask = this.#slots.length - 1;
    let at = hash & mask;
    while (this.#slots[at] !== EMPTY) at = (at + 1) & mask;
    this.#slots[at] = slot + 1;
    this.#hashes[at] = hash;
    this.#count++;
  }

  remove(hash: number, slot: number): void {
    const mask = this.#slots.length - 1;
    let hole = hash & mask;
    while (this.#slots[hole] !== slot + 1 || this.#hashes[hole] !== hash) {
      if (this.#slots[hole] === EMPTY) return;
      hole = (hole + 1) & mask;
    }
    this.#count--;
    // What follows moves up, unless that would be before the place where a search for it begins. A mark
    // instead would have to be swept out some day, all at once.
    for (let at = (hole + 1) & mask; this.#slots[at] !== EMPTY; at = (at + 1) & mask) {
      const distance = (at - ((this.#hashes[at] as number) & mask)) & mask;
      if (distance < ((at - hole) & mask)) continue;
      this.#slots[hole] = this.#slots[at] as number;
      this.#hashes[hole] = this.#hashes[at] as number;
      hole = at;
    }
    this.#slots[hole] = EMPTY;
  }

  /**
   * The place of the first slot that was added under this hash, or of the next one after `place`; -1: none.
   * Places are good until the next change. A loop over them allocates nothing.
   */
  seek(hash: number, place = -1): number {
    const mask = this.#slots.length - 1;
    for (
      let at = place < 0 ? hash & mask : (place + 1) & mask;
      this.#slots[at] !== EMPTY;
      at = (at + 1) & mask
    ) {
      if (this.#hashes[at] === hash) return at;
    }
    return -1;
  }

  slotAt(place: number): number {
    return (this.#slots[place] as number) - 1;
  }

  #grow(): void {
    const [hashes, slots] = [this.#hashes, this.#slots];
    this.#hashes = new Uint32Array(slots.length * 2);
    this.#slots = new Uint32Array(slots.length * 2);
    this.#count = 0;
    for (let at = 0; at < slots.length; at++) {
      const held = slots[at] as number;
      if (held !== EMPTY) this.add(hashes[at] as number, held - 1);
    }
  }
}

/** Where a hash begins. */
export const HASH_START = 0x811c9dc5 | 0;

/** FNV-1a of the code units, going on from `hash`. */
export function hashText(hash: number, text: string): number {
  let mixed = hash;
  for (let i = 0; i < text.length; i++) mixed = Math.imul(mixed ^ text.charCodeAt(i), 0x01000193);
  return mixed;
}

export function hashNumber(hash: number, value: number): number {
  return Math.imul(Math.imul(hash ^ (value & 0xffff), 0x01000193) ^ (value >>> 16), 0x01000193);
}

/** Mixes at the end: neighbouring addresses must not make runs. */
export function hashEnd(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

// A map keyed by byte strings, looked up in place: no key object is made per packet.

const EMPTY_SLOT = -1;

interface Entry<V> {
  readonly key: Uint8Array;
  readonly hash: number;
  value: V;
}

/** Open addressing with linear probing over an array of entries; at most three quarters full. */
export class BytesMap<V> {
  #entries: (Entry<V> | undefined)[] = [];
  #slots: Int32Array;
  #mask: number;
  #free: number[] = [];
  #size = 0;

  constructor() {
    this.#slots = new Int32Array(64).fill(EMPTY_SLOT);
    this.#mask = this.#slots.length - 1;
  }

  get size(): number {
    return this.#size;
  }

  get(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): V | undefined {
    const slot = this.#find(bytes, offset, length, hashOf(bytes, offset, length));
    const index = this.#slots[slot] as number;
    return index === EMPTY_SLOT ? undefined : (this.#entries[index] as Entry<V>).value;
  }

  /** The key is copied. */
  set(key: Uint8Array, value: V): void {
    const hash = hashOf(key, 0, key.length);
    const slot = this.#find(key, 0, key.length, hash);
    const index = this.#slots[slot] as number;
    if (index !== EMPTY_SLOT) {
      (this.#entries[index] as Entry<V>).value = value;
      return;
    }
    const at = this.#free.pop() ?? this.#entries.length;
    this.#entries[at] = { key: key.slice(), hash, value };
    this.#slots[slot] = at;
    this.#size += 1;
    if (this.#size * 4 > this.#slots.length * 3) this.#grow();
  }

  delete(key: Uint8Array): boolean {
    const slot = this.#find(key, 0, key.length, hashOf(key, 0, key.length));
    const index = this.#slots[slot] as number;
    if (index === EMPTY_SLOT) return false;
    this.#entries[index] = undefined;
    this.#free.push(index);
    this.#size -= 1;
    this.#closeGap(slot);
    return true;
  }

  /** Upper bound of entry numbers, for resumable visits. */
  get limit(): number {
    return this.#entries.length;
  }

  /** The value at an entry number; undefined where an entry was deleted. */
  at(index: number): V | undefined {
    return this.#entries[index]?.value;
  }

  #find(bytes: Uint8Array, offset: number, length: number, hash: number): number {
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const index = this.#slots[slot] as number;
      if (index === EMPTY_SLOT) return slot;
      const entry = this.#entries[index] as Entry<V>;
      if (entry.hash === hash && equal(entry.key, bytes, offset, length)) return slot;
    }
  }

  /** Moves later entries of the probe run back, so that no search ends at the hole. */
  #closeGap(hole: number): void {
    let gap = hole;
    for (let slot = (gap + 1) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const index = this.#slots[slot] as number;
      if (index === EMPTY_SLOT) break;
      const home = (this.#entries[index] as Entry<V>).hash & this.#mask;
      if (((slot - home) & this.#mask) >= ((slot - gap) & this.#mask)) {
        this.#slots[gap] = index;
        gap = slot;
      }
    }
    this.#slots[gap] = EMPTY_SLOT;
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2).fill(EMPTY_SLOT);
    this.#mask = this.#slots.length - 1;
    for (let index = 0; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry === undefined) continue;
      let slot = entry.hash & this.#mask;
      while (this.#slots[slot] !== EMPTY_SLOT) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = index;
    }
  }
}

function equal(key: Uint8Array, bytes: Uint8Array, offset: number, length: number): boolean {
  if (key.length !== length) return false;
  for (let i = 0; i < length; i++) if (key[i] !== bytes[offset + i]) return false;
  return true;
}

// Keys choose the bucket, and clients choose keys: a per-process seed keeps a sender from aiming at one bucket.
const SEED = (Math.random() * 0x1_0000_0000) | 0;

function hashOf(bytes: Uint8Array, offset: number, length: number): number {
  let hash = SEED;
  for (let i = offset; i < offset + length; i++) {
    hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

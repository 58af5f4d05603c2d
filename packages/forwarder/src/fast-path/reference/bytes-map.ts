// A map keyed by short byte strings, looked up in place: no key object is made per packet. Keys lie side by
// side in one array, since with many flows a look-up costs what its cache misses cost.
import { randomBytes } from "node:crypto";

/** Longest key: two IPv6 addresses, two ports and a protocol. */
export const KEY_SIZE_MAX = 37;

const EMPTY_SLOT = -1;
/** Bytes from one key to the next: the length, then the key. */
const STRIDE = 40;
const LENGTH_OFFSET = KEY_SIZE_MAX;
const SLOT_COUNT_MIN = 64;

/** Open addressing with linear probing over entry numbers; at most half full. */
export class BytesMap<V> {
  #values: (V | undefined)[] = [];
  #keys = new Uint8Array(STRIDE * (SLOT_COUNT_MIN / 2));
  #hashes = new Int32Array(SLOT_COUNT_MIN / 2);
  #slots = new Int32Array(SLOT_COUNT_MIN).fill(EMPTY_SLOT);
  #mask = SLOT_COUNT_MIN - 1;
  #free: number[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(bytes: Uint8Array, offset = 0, length: number = bytes.length - offset): V | undefined {
    const slot = this.#find(bytes, offset, length, hashOf(bytes, offset, length));
    const index = this.#slots[slot] as number;
    return index === EMPTY_SLOT ? undefined : this.#values[index];
  }

  /** The key, of at most `KEY_SIZE_MAX` bytes, is copied. */
  set(key: Uint8Array, value: V): void {
    if (key.length > KEY_SIZE_MAX) throw new Error(`a key of ${key.length} bytes`);
    const hash = hashOf(key, 0, key.length);
    const slot = this.#find(key, 0, key.length, hash);
    const index = this.#slots[slot] as number;
    if (index !== EMPTY_SLOT) {
      this.#values[index] = value;
      return;
    }
    const at = this.#free.pop() ?? this.#values.length;
    this.#values[at] = value;
    this.#hashes[at] = hash;
    this.#keys.set(key, at * STRIDE);
    this.#keys[at * STRIDE + LENGTH_OFFSET] = key.length;
    this.#slots[slot] = at;
    this.#size += 1;
    if (this.#size * 2 === this.#slots.length) this.#grow();
  }

  delete(key: Uint8Array): boolean {
    const slot = this.#find(key, 0, key.length, hashOf(key, 0, key.length));
    const index = this.#slots[slot] as number;
    if (index === EMPTY_SLOT) return false;
    this.#values[index] = undefined;
    this.#free.push(index);
    this.#size -= 1;
    this.#closeGap(slot);
    return true;
  }

  /** Upper bound of entry numbers, for resumable visits. */
  get limit(): number {
    return this.#values.length;
  }

  /** The value at an entry number; undefined where an entry was deleted. */
  at(index: number): V | undefined {
    return this.#values[index];
  }

  #find(bytes: Uint8Array, offset: number, length: number, hash: number): number {
    for (let slot = hash & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const index = this.#slots[slot] as number;
      if (index === EMPTY_SLOT) return slot;
      if (this.#hashes[index] === hash && this.#equal(index * STRIDE, bytes, offset, length)) return slot;
    }
  }

  #equal(at: number, bytes: Uint8Array, offset: number, length: number): boolean {
    const keys = this.#keys;
    if (keys[at + LENGTH_OFFSET] !== length) return false;
    for (let i = 0; i < length; i++) if (keys[at + i] !== bytes[offset + i]) return false;
    return true;
  }

  /** Moves later entries of the probe run back, so that no search ends at the hole. */
  #closeGap(hole: number): void {
    let gap = hole;
    for (let slot = (gap + 1) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const index = this.#slots[slot] as number;
      if (index === EMPTY_SLOT) break;
      const home = (this.#hashes[index] as number) & this.#mask;
      if (((slot - home) & this.#mask) >= ((slot - gap) & this.#mask)) {
        this.#slots[gap] = index;
        gap = slot;
      }
    }
    this.#slots[gap] = EMPTY_SLOT;
  }

  /** Doubles. Entry numbers stay what they are: a visit that is under way goes on. */
  #grow(): void {
    const slots = this.#slots;
    this.#slots = new Int32Array(slots.length * 2).fill(EMPTY_SLOT);
    this.#mask = this.#slots.length - 1;
    const capacity = this.#slots.length / 2;
    const keys = new Uint8Array(STRIDE * capacity);
    keys.set(this.#keys);
    this.#keys = keys;
    const hashes = new Int32Array(capacity);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    for (const index of slots) {
      if (index === EMPTY_SLOT) continue;
      let slot = (hashes[index] as number) & this.#mask;
      while (this.#slots[slot] !== EMPTY_SLOT) slot = (slot + 1) & this.#mask;
      this.#slots[slot] = index;
    }
  }
}

// Keys choose the slot, and clients choose keys: a seed of the process keeps a sender from aiming at one run.
const SEED = randomBytes(4).readInt32LE();

function hashOf(bytes: Uint8Array, offset: number, length: number): number {
  let hash = SEED ^ length;
  let i = offset;
  const end = offset + length;
  for (; i + 4 <= end; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  for (; i < end; i++) hash = Math.imul(hash ^ (bytes[i] as number), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0xc2b2ae35);
  return hash ^ (hash >>> 13);
}

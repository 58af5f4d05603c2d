// Numbers for ids: small, dense, used again when an id is released. Two arrays, where a map with strings as
// keys would be most of what the engine keeps, and most of what the garbage collector looks at.

/** Bytes of an id. */
export const ID_SIZE = 16;
const INITIAL_COUNT = 1024;
/** Used places over all, at most. */
const LOAD_MAX = 0.5;

export class IdIndex {
  /** By number. */
  #idBytes = new Uint8Array(INITIAL_COUNT * ID_SIZE);
  /** Number + 1 by hash, open addressing; 0: empty. */
  #places = new Uint32Array(INITIAL_COUNT * 2);
  #size = 0;
  /** Numbers given out so far, free ones included. */
  #count = 0;
  readonly #free: number[] = [];

  get size(): number {
    return this.#size;
  }

  /**
   * The number of an id (the first 16 bytes of `id`), given when it is new. Always the smallest that was
   * never given, or a released one.
   */
  numberOf(id: Uint8Array): number {
    const place = this.#placeOf(id);
    const held = this.#places[place] as number;
    if (held !== 0) return held - 1;
    const number = this.#free.pop() ?? this.#count++;
    if ((number + 1) * ID_SIZE > this.#idBytes.length) this.#grow();
    for (let i = 0; i < ID_SIZE; i++) this.#idBytes[number * ID_SIZE + i] = id[i] as number;
    this.#places[place] = number + 1;
    this.#size++;
    if (this.#size > this.#places.length * LOAD_MAX) this.#rehash();
    return number;
  }

  find(id: Uint8Array): number | undefined {
    const held = this.#places[this.#placeOf(id)] as number;
    return held === 0 ? undefined : held - 1;
  }

  /** Copies the id of a number. */
  write(number: number, target: Uint8Array, offset: number): void {
    for (let i = 0; i < ID_SIZE; i++) target[offset + i] = this.#idBytes[number * ID_SIZE + i] as number;
  }

  /** Byte `at` of a number's id. */
  byteOf(number: number, at: number): number {
    return this.#idBytes[number * ID_SIZE + at] as number;
  }

  /** The id goes, its number is free for others. */
  release(number: number): void {
    const mask = this.#places.length - 1;
    let hole = this.#homeOf(number);
    while (this.#places[hole] !== number + 1) hole = (hole + 1) & mask;
    // What follows moves up, unless that would be before its own place.
    for (let at = (hole + 1) & mask; this.#places[at] !== 0; at = (at + 1) & mask) {
      const home = this.#homeOf((this.#places[at] as number) - 1);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#places[hole] = this.#places[at] as number;
      hole = at;
    }
    this.#places[hole] = 0;
    this.#size--;
    this.#free.push(number);
  }

  /** Where the id stands, or where it would. */
  #placeOf(id: Uint8Array): number {
    const mask = this.#places.length - 1;
    let place = hashOf(id, 0) & mask;
    for (let held = this.#places[place] as number; held !== 0; held = this.#places[place] as number) {
      const at = (held - 1) * ID_SIZE;
      let same = true;
      for (let i = 0; i < ID_SIZE && same; i++) same = this.#idBytes[at + i] === id[i];
      if (same) break;
      place = (place + 1) & mask;
    }
    return place;
  }

  #homeOf(number: number): number {
    return hashOf(this.#idBytes, number * ID_SIZE) & (this.#places.length - 1);
  }

  #grow(): void {
    const idBytes = new Uint8Array(this.#idBytes.length * 2);
    idBytes.set(this.#idBytes);
    this.#idBytes = idBytes;
  }

  #rehash(): void {
    const old = this.#places;
    this.#places = new Uint32Array(old.length * 2);
    const mask = this.#places.length - 1;
    for (const held of old) {
      if (held === 0) continue;
      let place = this.#homeOf(held - 1);
      while (this.#places[place] !== 0) place = (place + 1) & mask;
      this.#places[place] = held;
    }
  }
}

/** Ids are hashes already. */
function hashOf(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] as number) << 24) |
      ((bytes[offset + 1] as number) << 16) |
      ((bytes[offset + 2] as number) << 8) |
      (bytes[offset + 3] as number)) >>>
    0
  );
}

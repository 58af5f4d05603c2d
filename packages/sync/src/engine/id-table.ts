// What the engine knows about each session without knowing the session: how many live journal entries mention it, and
// whether somebody else carries it. A few bytes a session.

const INITIAL_COUNT = 1024;
const NONE = -1;

const ID_SIZE = 16;
/** Entries of the hash table over its places, at most. */
const LOAD_MAX = 0.5;

export class IdTable {
  /** By index. */
  #idBytes = new Uint8Array(INITIAL_COUNT * ID_SIZE);
  /** Index + 1 by hash, open addressing; 0: empty. Strings as keys would be most of what the engine keeps. */
  #places = new Uint32Array(INITIAL_COUNT * 2);
  #size = 0;
  /** Indices given out so far, free ones included. */
  #count = 0;
  readonly #free: number[] = [];
  #references = new Uint32Array(INITIAL_COUNT);
  /** Rises each time an index is used anew. */
  #lives = new Uint32Array(INITIAL_COUNT);
  #ownMention = new Int32Array(INITIAL_COUNT).fill(NONE);
  #ownFull = new Int32Array(INITIAL_COUNT).fill(NONE);
  #coverJournal = new Int32Array(INITIAL_COUNT).fill(NONE);
  #coverSegment = new Int32Array(INITIAL_COUNT).fill(NONE);

  get size(): number {
    return this.#size;
  }

  /** The index of a record's id (its first 16 bytes), made when it is new. */
  indexOf(record: Uint8Array): number {
    const place = this.#placeOf(record);
    const held = this.#places[place] as number;
    if (held !== 0) return held - 1;
    const index = this.#free.pop() ?? this.#count++;
    if (index === this.#references.length) this.#grow();
    for (let i = 0; i < ID_SIZE; i++) this.#idBytes[index * ID_SIZE + i] = record[i] as number;
    this.#places[place] = index + 1;
    this.#size++;
    if (this.#size > this.#places.length * LOAD_MAX) this.#rehash();
    return index;
  }

  find(record: Uint8Array): number | undefined {
    const held = this.#places[this.#placeOf(record)] as number;
    return held === 0 ? undefined : held - 1;
  }

  life(index: number): number {
    return this.#lives[index] as number;
  }

  write(index: number, target: Uint8Array, offset: number): void {
    for (let i = 0; i < ID_SIZE; i++) target[offset + i] = this.#idBytes[index * ID_SIZE + i] as number;
  }

  /** A number that spreads sessions over members: who of several carriers goes on carrying. */
  spread(index: number): number {
    const at = index * ID_SIZE;
    const ids = this.#idBytes;
    return (ids[at] as number) | ((ids[at + 1] as number) << 8) | ((ids[at + 2] as number) << 16);
  }

  mention(index: number): void {
    this.#references[index] = (this.#references[index] as number) + 1;
  }

  /** true: nothing mentions it any longer, and the index is free for others. */
  unmention(index: number): boolean {
    const left = (this.#references[index] as number) - 1;
    this.#references[index] = left;
    return left === 0;
  }

  release(index: number): void {
    this.#remove(index);
    this.#lives[index] = (this.#lives[index] as number) + 1;
    this.#ownMention[index] = NONE;
    this.#ownFull[index] = NONE;
    this.#coverJournal[index] = NONE;
    this.#free.push(index);
  }

  /** This member wrote about the session: what others covered is no longer all. */
  wrote(index: number, segment: number, full: boolean): void {
    this.#ownMention[index] = segment;
    if (full) this.#ownFull[index] = segment;
    this.#coverJournal[index] = NONE;
  }

  /** Newest own segment that mentions it; -1: none. */
  ownMention(index: number): number {
    return this.#ownMention[index] as number;
  }

  /** Newest own segment that holds everything about it; -1: none. */
  ownFull(index: number): number {
    return this.#ownFull[index] as number;
  }

  /** A new incarnation of this member starts with an empty journal. */
  forgetOwn(): void {
    this.#ownMention.fill(NONE);
    this.#ownFull.fill(NONE);
  }

  /** Another journal's segment holds everything that this member knows about it. */
  cover(index: number, journal: number, segment: number): void {
    this.#coverJournal[index] = journal;
    this.#coverSegment[index] = segment;
  }

  /** Journal and segment that cover it, or undefined. */
  coveredBy(index: number): { journal: number; segment: number } | undefined {
    const journal = this.#coverJournal[index] as number;
    return journal === NONE ? undefined : { journal, segment: this.#coverSegment[index] as number };
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

  #remove(index: number): void {
    const mask = this.#places.length - 1;
    let hole = this.#homeOf(index);
    while (this.#places[hole] !== index + 1) hole = (hole + 1) & mask;
    // What follows moves up, unless that would be before its own place.
    for (let at = (hole + 1) & mask; this.#places[at] !== 0; at = (at + 1) & mask) {
      const home = this.#homeOf((this.#places[at] as number) - 1);
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      this.#places[hole] = this.#places[at] as number;
      hole = at;
    }
    this.#places[hole] = 0;
    this.#size--;
  }

  #homeOf(index: number): number {
    return hashOf(this.#idBytes, index * ID_SIZE) & (this.#places.length - 1);
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

  #grow(): void {
    const count = this.#references.length * 2;
    const idBytes = new Uint8Array(count * ID_SIZE);
    idBytes.set(this.#idBytes);
    this.#idBytes = idBytes;
    const wider = (old: Int32Array<ArrayBuffer>) => {
      const array = new Int32Array(count).fill(NONE);
      array.set(old);
      return array;
    };
    const references = new Uint32Array(count);
    references.set(this.#references);
    this.#references = references;
    const lives = new Uint32Array(count);
    lives.set(this.#lives);
    this.#lives = lives;
    this.#ownMention = wider(this.#ownMention);
    this.#ownFull = wider(this.#ownFull);
    this.#coverJournal = wider(this.#coverJournal);
    this.#coverSegment = wider(this.#coverSegment);
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

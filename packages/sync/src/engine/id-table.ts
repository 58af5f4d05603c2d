// What the engine knows about each session without knowing the session: how many live journal entries mention it, and
// whether somebody else carries it. A few bytes a session.

const INITIAL_COUNT = 1024;
const NONE = -1;

export class IdTable {
  readonly #indexByKey = new Map<string, number>();
  #keys: string[] = [];
  readonly #free: number[] = [];
  #references = new Uint32Array(INITIAL_COUNT);
  /** Rises each time an index is used anew. */
  #lives = new Uint32Array(INITIAL_COUNT);
  #ownMention = new Int32Array(INITIAL_COUNT).fill(NONE);
  #ownFull = new Int32Array(INITIAL_COUNT).fill(NONE);
  #coverJournal = new Int32Array(INITIAL_COUNT).fill(NONE);
  #coverSegment = new Int32Array(INITIAL_COUNT).fill(NONE);

  get size(): number {
    return this.#indexByKey.size;
  }

  /** The index of a record's id (its first 16 bytes), made when it is new. */
  indexOf(record: Uint8Array): number {
    const key = keyOf(record);
    const known = this.#indexByKey.get(key);
    if (known !== undefined) return known;
    const index = this.#free.pop() ?? this.#keys.length;
    if (index === this.#references.length) this.#grow();
    this.#keys[index] = key;
    this.#indexByKey.set(key, index);
    return index;
  }

  find(record: Uint8Array): number | undefined {
    return this.#indexByKey.get(keyOf(record));
  }

  life(index: number): number {
    return this.#lives[index] as number;
  }

  write(index: number, target: Uint8Array, offset: number): void {
    const key = this.#keys[index] as string;
    for (let i = 0; i < 16; i++) target[offset + i] = key.charCodeAt(i);
  }

  /** A number that spreads sessions over members: who of several carriers goes on carrying. */
  spread(index: number): number {
    const key = this.#keys[index] as string;
    return key.charCodeAt(0) | (key.charCodeAt(1) << 8) | (key.charCodeAt(2) << 16);
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
    this.#indexByKey.delete(this.#keys[index] as string);
    this.#keys[index] = "";
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

  #grow(): void {
    const count = this.#references.length * 2;
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

function keyOf(record: Uint8Array): string {
  return Buffer.from(record.buffer, record.byteOffset, 16).toString("latin1");
}

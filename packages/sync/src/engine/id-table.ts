// What the engine knows about each session without knowing the session: how many live journal entries mention
// it, and whether somebody else carries it. A few bytes a session.
import { IdIndex } from "./id-index.ts";

const INITIAL_COUNT = 1024;
const NONE = -1;

export class IdTable {
  readonly #ids = new IdIndex();
  #references = new Uint32Array(INITIAL_COUNT);
  /** Rises each time an index is used anew. */
  #lives = new Uint32Array(INITIAL_COUNT);
  #ownMention = new Int32Array(INITIAL_COUNT).fill(NONE);
  #ownFull = new Int32Array(INITIAL_COUNT).fill(NONE);
  #coverJournal = new Int32Array(INITIAL_COUNT).fill(NONE);
  #coverSegment = new Int32Array(INITIAL_COUNT).fill(NONE);

  get size(): number {
    return this.#ids.size;
  }

  /** The index of a record's id (its first 16 bytes), made when it is new. */
  indexOf(record: Uint8Array): number {
    const index = this.#ids.numberOf(record);
    if (index >= this.#references.length) this.#grow();
    return index;
  }

  find(record: Uint8Array): number | undefined {
    return this.#ids.find(record);
  }

  life(index: number): number {
    return this.#lives[index] as number;
  }

  write(index: number, target: Uint8Array, offset: number): void {
    this.#ids.write(index, target, offset);
  }

  /** A number that spreads sessions over members: who of several carriers goes on carrying. */
  spread(index: number): number {
    const ids = this.#ids;
    return ids.byteOf(index, 0) | (ids.byteOf(index, 1) << 8) | (ids.byteOf(index, 2) << 16);
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
    this.#ids.release(index);
    this.#lives[index] = (this.#lives[index] as number) + 1;
    this.#ownMention[index] = NONE;
    this.#ownFull[index] = NONE;
    this.#coverJournal[index] = NONE;
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

// Where packets of established flows look first: a bucket of slots, which is one cache line, and the flow,
// which is one more, or two of IPv6.
//
// It holds what needs nothing but to be passed on, and nothing that the table of all flows has not got: a
// flow that finds no room here, or is taken away, is slower and no less right. A flow is written where no
// slot points to, and then a slot is: programs see all of it or nothing. What a slot pointed to rests before
// it is written again, since a program may still be reading it.

import { LIMITS, QUICK_COUNTS, QUICK4 } from "./abi.ts";
import { KEY_WORDS_MAX, type QuickEdges, type QuickLayout, tagOf } from "./quick-layouts.ts";
import { type QuickStore, SLOT_COUNT } from "./quick-store.ts";

const WORD = 2 ** 32;
const NUMBER_MASK = (1 << LIMITS.QUICK_NUMBER_BITS) - 1;
/** Words of a line before what is counted, of every kind. */
const COUNTS = QUICK4.counts / 4;
const LAST_SEEN = COUNTS + QUICK_COUNTS.lastSeen / 4;
const PACKETS = COUNTS + QUICK_COUNTS.packets / 4;
const BYTES = COUNTS + QUICK_COUNTS.bytes / 4;
const FOLDED = COUNTS + QUICK_COUNTS.folded / 4;

/** What the programs have counted of a flow since they wrote it to the table of all flows last. */
export interface QuickCounts {
  readonly packets: number;
  readonly bytes: number;
  /** Jiffies. */
  readonly lastSeen: number;
  /** Of TCP. */
  readonly edges?: QuickEdges | undefined;
  /** Its packets go the usual way until it is put again. */
  readonly isStopped: boolean;
}

/** Where a table's values have what quick flows count. */
interface CountFields {
  readonly packets: number;
  readonly bytes: number;
  readonly lastSeen: number;
}

/** What a quick flow has counted, and the table does not know yet, is added to a value there. */
export function addCounts(fields: CountFields, values: Buffer, at: number, left: QuickCounts): void {
  if (left.packets === 0) return;
  addTo64(values, at + fields.packets, left.packets);
  addTo64(values, at + fields.bytes, left.bytes);
  if (((left.lastSeen - values.readUInt32LE(at + fields.lastSeen)) | 0) > 0)
    values.writeUInt32LE(left.lastSeen, at + fields.lastSeen);
}

/** Without bigints: a sweep does it for every flow. */
function addTo64(values: Buffer, at: number, count: number): void {
  const low = values.readUInt32LE(at) + count;
  values.writeUInt32LE(low % WORD, at);
  if (low >= WORD) values.writeUInt32LE((values.readUInt32LE(at + 4) + 1) % WORD, at + 4);
}

/** Quick flows of one kind; all kinds share a store. Keys and values are those of the kind's table of all flows. */
export class QuickFlows {
  /** How many of this kind there are. */
  size = 0;
  readonly #store: QuickStore;
  readonly #layout: QuickLayout;
  readonly #key = new Uint32Array(KEY_WORDS_MAX);
  /** Of the flow that was found: its slot, and its number. */
  #slot = 0;
  #number = 0;

  constructor(store: QuickStore, layout: QuickLayout) {
    this.#store = store;
    this.#layout = layout;
  }

  /** Whether a value is of a flow that may be quick. */
  isQuick(value: Buffer, valueAt: number): boolean {
    return this.#layout.isQuick(value, valueAt);
  }

  /**
   * The flow of a key and a value, instead of what is there under this key. `jiffies`: now. Counts go on
   * where the session is the same one. false: there is no room; what is there is to be taken.
   */
  put(key: Buffer, keyAt: number, value: Buffer, valueAt: number, isSame: boolean, jiffies: number): boolean {
    const { kind, lineCount, keyWordCount, lastSeen } = this.#layout;
    const hash = this.#find(key, keyAt);
    const before = this.#number;
    const slot = before === 0 ? this.#emptySlot(hash) : this.#slot;
    const number = slot < 0 ? 0 : this.#store.allocate(lineCount);
    if (number === 0) return false;
    const words = this.#store.wordsOf(number);
    const at = this.#store.at(number);
    for (let i = 0; i < keyWordCount; i++) words[at + i] = this.#key[i] as number;
    this.#layout.write(words, at, value, valueAt);
    this.#count(number, value.readUInt32LE(valueAt + lastSeen), jiffies);
    if (before !== 0 && isSame) this.#carry(before, number);
    const pointer = (tagOf(hash, kind) << LIMITS.QUICK_NUMBER_BITS) | number;
    Atomics.store(this.#store.buckets, slot, pointer >>> 0);
    if (before === 0) this.size++;
    else this.#store.rest(before, lineCount);
    return true;
  }

  /** undefined: it is not quick. */
  counts(key: Buffer, keyAt: number): QuickCounts | undefined {
    this.#find(key, keyAt);
    return this.#number === 0 ? undefined : this.#countsOf(this.#number);
  }

  /** Takes the flow away, and what it has counted with it; undefined: it is not quick. */
  take(key: Buffer, keyAt: number): QuickCounts | undefined {
    this.#find(key, keyAt);
    if (this.#number === 0) return undefined;
    this.#empty();
    return this.#countsOf(this.#number);
  }

  #empty(): void {
    Atomics.store(this.#store.buckets, this.#slot, 0);
    this.#store.rest(this.#number, this.#layout.lineCount);
    this.size--;
  }

  /** Sets #key, #slot and #number, which is 0 when there is none; returns the hash. */
  #find(key: Buffer, keyAt: number): number {
    this.#layout.readKey(key, keyAt, this.#key);
    const hash = this.#layout.hash(this.#store.seed, this.#key);
    const tag = tagOf(hash, this.#layout.kind);
    const from = this.#store.firstSlot(hash);
    const { buckets } = this.#store;
    this.#number = 0;
    for (let i = 0; i < SLOT_COUNT; i++) {
      // As the program does: most stand where it looks first.
      const slot = from + ((tag + i) & (SLOT_COUNT - 1));
      const pointer = buckets[slot] as number;
      const number = pointer & NUMBER_MASK;
      if (pointer >>> LIMITS.QUICK_NUMBER_BITS !== tag || number === 0 || !this.#hasKey(number)) continue;
      this.#slot = slot;
      this.#number = number;
      break;
    }
    return hash;
  }

  #hasKey(number: number): boolean {
    const words = this.#store.wordsOf(number);
    const at = this.#store.at(number);
    for (let i = 0; i < this.#layout.keyWordCount; i++) if (words[at + i] !== this.#key[i]) return false;
    return true;
  }

  /** The program begins to look at the place that the hash says: so does this. -1: the bucket is full. */
  #emptySlot(hash: number): number {
    const from = this.#store.firstSlot(hash);
    const first = tagOf(hash, this.#layout.kind);
    const { buckets } = this.#store;
    for (let i = 0; i < SLOT_COUNT; i++) {
      const slot = from + ((first + i) & (SLOT_COUNT - 1));
      if (buckets[slot] === 0) return slot;
    }
    return -1;
  }

  #countsOf(number: number): QuickCounts {
    const words = this.#store.wordsOf(number);
    const at = this.#store.at(number);
    return {
      packets: words[at + PACKETS] as number,
      bytes: words[at + BYTES] as number,
      lastSeen: words[at + LAST_SEEN] as number,
      edges: this.#layout.edges?.(words, at),
      isStopped: this.#layout.isStopped?.(words, at) === true,
    };
  }

  #count(number: number, lastSeen: number, jiffies: number): void {
    const words = this.#store.wordsOf(number);
    const at = this.#store.at(number);
    words[at + LAST_SEEN] = lastSeen;
    words[at + PACKETS] = 0;
    words[at + BYTES] = 0;
    words[at + FOLDED] = jiffies;
  }

  #carry(from: number, to: number): void {
    const [old, words] = [this.#store.wordsOf(from), this.#store.wordsOf(to)];
    const [oldAt, at] = [this.#store.at(from), this.#store.at(to)];
    for (const field of [LAST_SEEN, PACKETS, BYTES, FOLDED]) words[at + field] = old[oldAt + field] as number;
  }
}

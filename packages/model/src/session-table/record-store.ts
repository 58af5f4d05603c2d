// Records at rest: their canonical bytes in pages, found by id. A session takes about 380 bytes here with all
// its indices, and 2,500 as objects (docs/decisions/0057); the garbage collector sees pages instead of a
// million maps. Records used lately stay decoded as well.
import { ByteWriter } from "../session/bytes.ts";
import { FLAGS_OFFSET, HAS_END, RECORD_BYTES_MAX } from "../session/codec/format.ts";
import { sessionIdFromBytes, sessionIdToBytes } from "../session/identity.ts";
import type { SessionKind } from "../session/kind.ts";
import type { End, SessionEnvelope, SessionId } from "../session/record.ts";
import { isAmong, type Needle } from "./needle.ts";
import { SlotIndex } from "./slot-index.ts";

/** Blocks are multiples of this; the multiple is the block's class. */
const GRAIN = 16;
const PAGE_SIZE = 1024 * 1024;
const PAGE_GRAINS = PAGE_SIZE / GRAIN;
const CLASS_COUNT = RECORD_BYTES_MAX / GRAIN + 1;
const INITIAL_SLOT_COUNT = 1024;
/**
 * Records kept decoded, a power of two: the last one used of all slots that share a place. Few: a record is
 * used several times within milliseconds, and objects that outlive those are what the garbage collector stops
 * for.
 */
const DECODED_COUNT_MAX = 256;
const NO_SLOT = -1;

const idBytes = new Uint8Array(16);
const scratch = new ByteWriter();

export class RecordStore<R extends SessionEnvelope> {
  readonly #kind: SessionKind<R>;
  readonly #pages: Uint8Array[] = [];
  #pageLength = PAGE_SIZE;
  /** By class: grains of free blocks. */
  readonly #freeBlocks: number[][] = [];
  /** Where a slot's record begins, in grains; pages follow each other. */
  #starts = new Uint32Array(INITIAL_SLOT_COUNT);
  /** 0: the slot is free. */
  #lengths = new Uint16Array(INITIAL_SLOT_COUNT);
  readonly #freeSlots: number[] = [];
  #slotCount = 0;
  readonly #byId = new SlotIndex();
  /**
   * By slot modulo their number. An array, not a map in the order of use: it is touched several times a
   * change.
   */
  readonly #decoded: (R | undefined)[] = new Array<undefined>(DECODED_COUNT_MAX).fill(undefined);
  readonly #decodedSlots = new Int32Array(DECODED_COUNT_MAX).fill(NO_SLOT);

  constructor(kind: SessionKind<R>) {
    this.#kind = kind;
  }

  /** Records held. */
  get size(): number {
    return this.#byId.size;
  }

  /** Slots are 0 … slotCount - 1; some are free. */
  get slotCount(): number {
    return this.#slotCount;
  }

  /** Bytes of pages. */
  get byteCount(): number {
    return this.#pages.length * PAGE_SIZE;
  }

  slotOf(id: SessionId): number | undefined {
    return this.slotOfBytes(sessionIdToBytes(id, idBytes));
  }

  /** By the first 16 bytes of a record. */
  slotOfBytes(bytes: Uint8Array): number | undefined {
    const hash = hashOf(bytes, 0);
    for (let place = this.#byId.seek(hash); place >= 0; place = this.#byId.seek(hash, place)) {
      const slot = this.#byId.slotAt(place);
      const page = this.#pageOf(slot);
      const offset = this.#offsetOf(slot);
      let same = true;
      for (let i = 0; i < 16 && same; i++) same = page[offset + i] === bytes[i];
      if (same) return slot;
    }
    return undefined;
  }

  get(slot: number): R {
    const place = slot & (DECODED_COUNT_MAX - 1);
    if (this.#decodedSlots[place] === slot) return this.#decoded[place] as R;
    const offset = this.#offsetOf(slot);
    const decoding = this.#kind.decode(this.#pageOf(slot), offset, offset + (this.#lengths[slot] as number));
    if (!("delta" in decoding)) throw new Error("a stored record does not decode");
    const record = this.#kind.join(this.#kind.empty(decoding.delta.id), decoding.delta);
    this.#remember(slot, record);
    return record;
  }

  /** undefined when the slot is free. */
  at(slot: number): R | undefined {
    return (this.#lengths[slot] ?? 0) === 0 ? undefined : this.get(slot);
  }

  /** Whether the record is these bytes exactly. */
  equals(slot: number, bytes: Uint8Array): boolean {
    if (this.#lengths[slot] !== bytes.length) return false;
    const page = this.#pageOf(slot);
    const offset = this.#offsetOf(slot);
    for (let i = 0; i < bytes.length; i++) if (page[offset + i] !== bytes[i]) return false;
    return true;
  }

  /** The end by which alone the bytes differ from those of the record, which has none; else undefined. */
  endBehind(slot: number, bytes: Uint8Array): End | undefined {
    const { readAppendedEnd } = this.#kind;
    const length = this.#lengths[slot] as number;
    if (readAppendedEnd === undefined || bytes.length <= length) return undefined;
    const page = this.#pageOf(slot);
    const offset = this.#offsetOf(slot);
    const flags = page[offset + FLAGS_OFFSET] as number;
    if ((flags & HAS_END) !== 0 || bytes[FLAGS_OFFSET] !== (flags | HAS_END)) return undefined;
    for (let i = 0; i < length; i++)
      if (page[offset + i] !== bytes[i] && i !== FLAGS_OFFSET) return undefined;
    return readAppendedEnd(bytes, length);
  }

  /** The record's bytes where they lie: valid until the next `put` or `delete`. */
  bytesAt(slot: number): Uint8Array {
    const offset = this.#offsetOf(slot);
    return this.#pageOf(slot).subarray(offset, offset + (this.#lengths[slot] as number));
  }

  /** Whether the record's bytes, its id apart, hold every needle. */
  holdsAll(slot: number, needles: readonly Needle[]): boolean {
    const page = this.#pageOf(slot);
    const offset = this.#offsetOf(slot);
    const end = offset + (this.#lengths[slot] as number);
    for (const needle of needles) if (!isAmong(page, offset + FLAGS_OFFSET, end, needle)) return false;
    return true;
  }

  /**
   * Stores a record in its slot, or in a new one. `bytes`: what decodes to the record, when it is at hand.
   */
  put(record: R, slot = NO_SLOT, bytes?: Uint8Array): number {
    scratch.clear();
    if (bytes === undefined) this.#kind.write(scratch, record);
    else scratch.bytes(bytes);
    return this.#store(record, slot);
  }

  /** Stores a record that is the one in the slot, which has no end, with an end. */
  putEnd(record: R, slot: number, end: End): void {
    scratch.clear();
    if (this.#kind.writeWithEnd === undefined) this.#kind.write(scratch, record);
    else this.#kind.writeWithEnd(scratch, this.bytesAt(slot), end);
    this.#store(record, slot);
  }

  /** What stands in `scratch`. */
  #store(record: R, slot: number): number {
    const { length } = scratch;
    if (length > RECORD_BYTES_MAX) throw new Error(`a record of ${length} bytes`);
    const isNew = slot === NO_SLOT;
    const at = isNew ? this.#newSlot() : slot;
    const grains = classOf(length);
    if (isNew || classOf(this.#lengths[at] as number) !== grains) {
      if (!isNew) this.#release(at);
      this.#starts[at] = this.#allocate(grains);
    }
    this.#lengths[at] = length;
    const page = this.#pageOf(at);
    const offset = this.#offsetOf(at);
    scratch.copyTo(page, offset);
    if (isNew) this.#byId.add(hashOf(page, offset), at);
    this.#remember(at, record);
    return at;
  }

  delete(slot: number): void {
    this.#byId.remove(hashOf(this.#pageOf(slot), this.#offsetOf(slot)), slot);
    this.#release(slot);
    this.#lengths[slot] = 0;
    const place = slot & (DECODED_COUNT_MAX - 1);
    if (this.#decodedSlots[place] === slot) {
      this.#decodedSlots[place] = NO_SLOT;
      this.#decoded[place] = undefined;
    }
    this.#freeSlots.push(slot);
  }

  /** The id in a slot, without decoding the rest. */
  idAt(slot: number): SessionId {
    return sessionIdFromBytes(this.#pageOf(slot), this.#offsetOf(slot));
  }

  #remember(slot: number, record: R): void {
    const place = slot & (DECODED_COUNT_MAX - 1);
    this.#decodedSlots[place] = slot;
    this.#decoded[place] = record;
  }

  #pageOf(slot: number): Uint8Array {
    return this.#pages[Math.floor((this.#starts[slot] as number) / PAGE_GRAINS)] as Uint8Array;
  }

  #offsetOf(slot: number): number {
    return ((this.#starts[slot] as number) % PAGE_GRAINS) * GRAIN;
  }

  #newSlot(): number {
    const free = this.#freeSlots.pop();
    if (free !== undefined) return free;
    const slot = this.#slotCount++;
    if (slot === this.#starts.length) {
      const starts = new Uint32Array(slot * 2);
      starts.set(this.#starts);
      this.#starts = starts;
      const lengths = new Uint16Array(slot * 2);
      lengths.set(this.#lengths);
      this.#lengths = lengths;
    }
    return slot;
  }

  #release(slot: number): void {
    const grains = classOf(this.#lengths[slot] as number);
    const blocks = this.#freeBlocks[grains];
    if (blocks === undefined) this.#freeBlocks[grains] = [this.#starts[slot] as number];
    else blocks.push(this.#starts[slot] as number);
  }

  /**
   * A block of this many grains: a free one of its class, a piece of a free one of twice the size or more, or
   * new.
   */
  #allocate(grains: number): number {
    const same = this.#freeBlocks[grains]?.pop();
    if (same !== undefined) return same;
    for (let size = grains * 2; size < CLASS_COUNT && size <= grains * 8; size++) {
      const larger = this.#freeBlocks[size]?.pop();
      if (larger === undefined) continue;
      this.#give(larger + grains, size - grains);
      return larger;
    }
    const length = grains * GRAIN;
    if (this.#pageLength + length > PAGE_SIZE) {
      const left = (PAGE_SIZE - this.#pageLength) / GRAIN;
      if (left > 0 && this.#pages.length > 0) this.#give(this.#end(), Math.min(left, CLASS_COUNT - 1));
      this.#pages.push(new Uint8Array(PAGE_SIZE));
      this.#pageLength = 0;
    }
    const start = this.#end();
    this.#pageLength += length;
    return start;
  }

  #end(): number {
    return ((this.#pages.length - 1) * PAGE_SIZE + this.#pageLength) / GRAIN;
  }

  #give(start: number, grains: number): void {
    const blocks = this.#freeBlocks[grains];
    if (blocks === undefined) this.#freeBlocks[grains] = [start];
    else blocks.push(start);
  }
}

function classOf(length: number): number {
  return Math.ceil(length / GRAIN);
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

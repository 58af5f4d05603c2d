// Records at rest: their canonical bytes in pages, found by id. A session takes some 200 bytes here with all its
// indices, and 2,500 as objects; the garbage collector sees pages instead of a million maps. Records used lately stay
// decoded as well.
import { decodeSession, encodeSession, RECORD_BYTES_MAX } from "./codec.ts";
import { sessionIdFromBytes, sessionIdToBytes } from "./identity.ts";
import { emptyRecord, join } from "./join.ts";
import type { SessionId, SessionRecord } from "./record.ts";
import { SlotIndex } from "./slot-index.ts";

/** Blocks are multiples of this; the multiple is the block's class. */
const GRAIN = 16;
const PAGE_SIZE = 1024 * 1024;
const CLASS_COUNT = RECORD_BYTES_MAX / GRAIN + 1;
const INITIAL_SLOT_COUNT = 1024;
/** Records kept decoded. */
const DECODED_COUNT_MAX = 2048;
const NO_SLOT = -1;

const idBytes = new Uint8Array(16);

export class RecordStore {
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
  readonly #decoded = new Map<number, SessionRecord>();

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
    for (const slot of this.#byId.find(hashOf(bytes, 0))) {
      const { page, offset } = this.#place(slot);
      let same = true;
      for (let i = 0; i < 16 && same; i++) same = page[offset + i] === bytes[i];
      if (same) return slot;
    }
    return undefined;
  }

  get(slot: number): SessionRecord {
    const known = this.#decoded.get(slot);
    if (known !== undefined) return known;
    const { page, offset } = this.#place(slot);
    const decoding = decodeSession(page, offset, offset + (this.#lengths[slot] as number));
    if (!("delta" in decoding)) throw new Error("a stored record does not decode");
    const record = join(emptyRecord(decoding.delta.id), decoding.delta);
    this.#remember(slot, record);
    return record;
  }

  /** undefined when the slot is free. */
  at(slot: number): SessionRecord | undefined {
    return (this.#lengths[slot] ?? 0) === 0 ? undefined : this.get(slot);
  }

  /** Whether the record is these bytes exactly. */
  equals(slot: number, bytes: Uint8Array): boolean {
    if (this.#lengths[slot] !== bytes.length) return false;
    const { page, offset } = this.#place(slot);
    for (let i = 0; i < bytes.length; i++) if (page[offset + i] !== bytes[i]) return false;
    return true;
  }

  /** The record's bytes where they lie: valid until the next `put` or `delete`. */
  bytesAt(slot: number): Uint8Array {
    const { page, offset } = this.#place(slot);
    return page.subarray(offset, offset + (this.#lengths[slot] as number));
  }

  /** Stores a record in its slot, or in a new one. `bytes`: what decodes to the record, when it is at hand. */
  put(record: SessionRecord, slot = NO_SLOT, bytes = encodeSession(record)): number {
    if (bytes.length > RECORD_BYTES_MAX) throw new Error(`a record of ${bytes.length} bytes`);
    const isNew = slot === NO_SLOT;
    const at = isNew ? this.#newSlot() : slot;
    const grains = classOf(bytes.length);
    if (isNew || classOf(this.#lengths[at] as number) !== grains) {
      if (!isNew) this.#release(at);
      this.#starts[at] = this.#allocate(grains);
    }
    this.#lengths[at] = bytes.length;
    const { page, offset } = this.#place(at);
    page.set(bytes, offset);
    if (isNew) this.#byId.add(hashOf(bytes, 0), at);
    this.#remember(at, record);
    return at;
  }

  delete(slot: number): void {
    const { page, offset } = this.#place(slot);
    this.#byId.remove(hashOf(page, offset), slot);
    this.#release(slot);
    this.#lengths[slot] = 0;
    this.#decoded.delete(slot);
    this.#freeSlots.push(slot);
  }

  /** The id in a slot, without decoding the rest. */
  idAt(slot: number): SessionId {
    const { page, offset } = this.#place(slot);
    return sessionIdFromBytes(page, offset);
  }

  #remember(slot: number, record: SessionRecord): void {
    // The map is in the order of use: the oldest goes first.
    this.#decoded.delete(slot);
    this.#decoded.set(slot, record);
    if (this.#decoded.size <= DECODED_COUNT_MAX) return;
    for (const oldest of this.#decoded.keys()) {
      this.#decoded.delete(oldest);
      break;
    }
  }

  #place(slot: number): { page: Uint8Array; offset: number } {
    const start = (this.#starts[slot] as number) * GRAIN;
    return { page: this.#pages[Math.floor(start / PAGE_SIZE)] as Uint8Array, offset: start % PAGE_SIZE };
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

  /** A block of this many grains: a free one of its class, a piece of a free one of twice the size or more, or new. */
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

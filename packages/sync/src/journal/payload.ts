// What one tick says: deltas, and what the writer says about its journal. Because the latter travels in the
// journal, it takes effect at every reader after everything that was written before it, and never earlier.
//
//   payload = entry…                 entry = kind(1) …
//   1 delta:  length, record bytes (@holdfast/model codec)
//   2 header: first entry of a segment: ticks of the segment before it, base
//   3 base:   segments below it are retired: what lived in them has been written again
//   4 floor:  member, counter, count, (counter, segment, ticks)…: incarnations of the member below `counter`
//   are retired:
//             what lived in them, up to these positions, has been written again
//   16 and more: length, bytes: what later versions say of a journal; it lives as long as the segment that it
//   stands in
// Numbers without a width are varints. Kinds are append-only.
//
// What a reader does not know, a kind or a delta that only later versions read, it passes over: the change
// stays whole in its segment, in the store and on the way to others. What later versions want to outlive a
// segment is a delta.
import { ByteReader, ByteWriter, isSessionFact, RECORD_BYTES_MAX } from "@holdfast/model";
import { MEMBER_COUNT_MAX } from "../ports/limits.ts";

const KIND_DELTA = 1;
const KIND_HEADER = 2;
const KIND_BASE = 3;
const KIND_FLOOR = 4;
/** From here on every kind has its length behind it. */
const KIND_SIZED_LOWEST = 16;

/** Entries of one tick. */
export const PAYLOAD_ENTRY_COUNT_MAX = 8192;
/** Incarnations named by one floor; more than that have not been retired at once. */
export const FLOOR_POSITION_COUNT_MAX = 16;
/** Bytes of an entry of a kind that is not known; a longer one is malformed. */
export const UNKNOWN_ENTRY_BYTES_MAX = 64 * 1024;

export interface FloorPosition {
  readonly counter: number;
  readonly segment: number;
  readonly ticks: number;
}

export interface Floor {
  readonly member: number;
  readonly counter: number;
  /** How far the writer had read each retired incarnation. */
  readonly positions: readonly FloorPosition[];
}

export type Entry =
  | { readonly kind: "delta"; readonly bytes: Uint8Array }
  | { readonly kind: "header"; readonly previousTicks: number; readonly base: number }
  | { readonly kind: "base"; readonly base: number }
  | { readonly kind: "floor"; readonly floor: Floor }
  /** Of a later version. */
  | { readonly kind: "unknown"; readonly type: number; readonly bytes: Uint8Array };

const scratch = new ByteWriter();

export function encodePayload(entries: readonly Entry[]): Uint8Array {
  scratch.clear();
  for (const entry of entries) {
    switch (entry.kind) {
      case "delta":
        scratch.u8(KIND_DELTA);
        scratch.varint(entry.bytes.length);
        scratch.bytes(entry.bytes);
        break;
      case "header":
        scratch.u8(KIND_HEADER);
        scratch.varint(entry.previousTicks);
        scratch.varint(entry.base);
        break;
      case "base":
        scratch.u8(KIND_BASE);
        scratch.varint(entry.base);
        break;
      case "floor":
        scratch.u8(KIND_FLOOR);
        scratch.varint(entry.floor.member);
        scratch.varint(entry.floor.counter);
        scratch.varint(entry.floor.positions.length);
        for (const { counter, segment, ticks } of entry.floor.positions) {
          scratch.varint(counter);
          scratch.varint(segment);
          scratch.varint(ticks);
        }
        break;
      case "unknown":
        scratch.u8(entry.type);
        scratch.varint(entry.bytes.length);
        scratch.bytes(entry.bytes);
        break;
    }
  }
  return scratch.copy();
}

/**
 * The entries, every delta checked to be one, or framed as one; undefined when anything is not as above.
 * Never throws.
 */
export function decodePayload(payload: Uint8Array): Entry[] | undefined {
  const input = new ByteReader(payload);
  const entries: Entry[] = [];
  while (input.left > 0) {
    if (entries.length === PAYLOAD_ENTRY_COUNT_MAX) return undefined;
    const entry = readEntry(input);
    if (entry === undefined || input.failed) return undefined;
    entries.push(entry);
  }
  return entries;
}

function readEntry(input: ByteReader): Entry | undefined {
  const kind = input.u8();
  switch (kind) {
    case KIND_DELTA: {
      const length = input.varint();
      if (length > RECORD_BYTES_MAX) return undefined;
      const bytes = input.take(length);
      return isSessionFact(bytes) ? { kind: "delta", bytes } : undefined;
    }
    case KIND_HEADER:
      return { kind: "header", previousTicks: input.varint(), base: input.varint() };
    case KIND_BASE:
      return { kind: "base", base: input.varint() };
    case KIND_FLOOR: {
      const member = input.varint();
      const counter = input.varint();
      const count = input.varint();
      if (member >= MEMBER_COUNT_MAX || count > FLOOR_POSITION_COUNT_MAX) return undefined;
      const positions: FloorPosition[] = [];
      for (let i = 0; i < count; i++) {
        positions.push({ counter: input.varint(), segment: input.varint(), ticks: input.varint() });
      }
      return { kind: "floor", floor: { member, counter, positions } };
    }
    default: {
      if (kind < KIND_SIZED_LOWEST) return undefined;
      const length = input.varint();
      if (length > UNKNOWN_ENTRY_BYTES_MAX) return undefined;
      return { kind: "unknown", type: kind, bytes: input.take(length) };
    }
  }
}

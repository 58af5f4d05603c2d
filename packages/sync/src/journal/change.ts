// One tick of a journal as an Automerge change chunk, byte for byte what Automerge writes for a single
// `put(root, "TICK", payload)` committed at time 0. A journal's changes have this one shape, so that a chunk
// is verified completely before any document sees it: `applyChanges` checks no checksum, and 96 bytes of
// columns can expand to 500,000 operations. Whatever deviates by a byte is refused.
//
//   chunk    = magic(4) checksum(4) type(1) length contents          hash = SHA-256(type length contents)
//   contents = deps actor seq startOp time message otherActors columns data
// Lengths and counts are LEB128 (https://automerge.org/automerge-binary-format-spec, §Change chunks).
import { hash } from "node:crypto";
import { CHANGE_BYTES_MAX } from "../ports/limits.ts";

const MAGIC = [0x85, 0x6f, 0x4a, 0x83] as const;
const CHECKSUM_OFFSET = 4;
const TYPE_OFFSET = 8;
const CHUNK_TYPE_CHANGE = 1;
const CHUNK_TYPE_COMPRESSED = 2;

// Columns of the one operation: key, insert, action, value's type and length, value, count of predecessors.
const COLUMN_KEY = 0x15;
const COLUMN_INSERT = 0x34;
const COLUMN_ACTION = 0x42;
const COLUMN_VALUE_META = 0x56;
const COLUMN_VALUE = 0x57;
const COLUMN_PREDECESSORS = 0x70;
const COLUMN_COUNT = 6;
/** A run of one literal value: -1 as signed LEB128. */
const LITERAL_ONE = 0x7f;
const ACTION_SET = 1;
const VALUE_TYPE_BYTES = 7;

export type ChangeRefusal =
  | "too-long"
  | "truncated"
  | "not-a-change"
  | "compressed"
  | "wrong-length"
  | "wrong-hash"
  | "wrong-dependencies"
  | "wrong-actor"
  | "wrong-sequence"
  | "wrong-start"
  | "wrong-shape";

export interface VerifiedChange {
  readonly bytes: Uint8Array;
  /** 32 bytes; the next change depends on it. */
  readonly hash: Uint8Array;
  readonly payload: Uint8Array;
  readonly tick: number;
}

function lebSize(value: number): number {
  let size = 1;
  for (let left = value; left >= 0x80; left = Math.floor(left / 0x80)) size++;
  return size;
}

class Writer {
  readonly bytes: Uint8Array;
  at = 0;
  constructor(size: number) {
    this.bytes = new Uint8Array(size);
  }
  byte(...values: readonly number[]): void {
    for (const value of values) this.bytes[this.at++] = value;
  }
  leb(value: number): void {
    let left = value;
    for (; left >= 0x80; left = Math.floor(left / 0x80)) this.bytes[this.at++] = (left % 0x80) | 0x80;
    this.bytes[this.at++] = left;
  }
  put(bytes: Uint8Array): void {
    this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }
}

/** The contents before the payload; the payload and two bytes follow. */
function contentsHead(
  documentActor: string,
  tick: number,
  previous: Uint8Array,
  payloadSize: number,
): Uint8Array {
  const actor = Buffer.from(documentActor, "hex");
  const key = Buffer.from(String(tick));
  const meta = payloadSize * 16 + VALUE_TYPE_BYTES;
  const out = new Writer(128 + actor.length + previous.length);
  out.leb(previous.length === 0 ? 0 : 1);
  out.put(previous);
  out.leb(actor.length);
  out.put(actor);
  out.leb(tick + 1);
  out.leb(tick + 1);
  // Time, message, other actors: none.
  out.byte(0, 0, 0);
  out.byte(COLUMN_COUNT, COLUMN_KEY, 2 + key.length, COLUMN_INSERT, 1, COLUMN_ACTION, 2);
  out.byte(COLUMN_VALUE_META, 1 + lebSize(meta), COLUMN_VALUE);
  out.leb(payloadSize);
  out.byte(COLUMN_PREDECESSORS, 2);
  out.byte(LITERAL_ONE, key.length);
  out.put(key);
  out.byte(1, LITERAL_ONE, ACTION_SET, LITERAL_ONE);
  out.leb(meta);
  return out.bytes.subarray(0, out.at);
}

/** The chunk of one tick. `previous`: hash of the change before it in the segment, empty for the first. */
export function encodeChange(
  documentActor: string,
  tick: number,
  previous: Uint8Array,
  payload: Uint8Array,
): VerifiedChange {
  const head = contentsHead(documentActor, tick, previous, payload.length);
  const length = head.length + payload.length + 2;
  const out = new Writer(TYPE_OFFSET + 1 + lebSize(length) + length);
  out.byte(...MAGIC, 0, 0, 0, 0, CHUNK_TYPE_CHANGE);
  out.leb(length);
  out.put(head);
  const payloadAt = out.at;
  out.put(payload);
  out.byte(LITERAL_ONE, 0);
  const digest = hash("sha256", out.bytes.subarray(TYPE_OFFSET), "buffer");
  out.bytes.set(digest.subarray(0, 4), CHECKSUM_OFFSET);
  return {
    bytes: out.bytes,
    hash: digest,
    payload: out.bytes.subarray(payloadAt, payloadAt + payload.length),
    tick,
  };
}

/** Checks a chunk from elsewhere against everything that is known about it. Never throws. */
export function verifyChange(
  bytes: Uint8Array,
  documentActor: string,
  tick: number,
  previous: Uint8Array,
): VerifiedChange | ChangeRefusal {
  if (bytes.length > CHANGE_BYTES_MAX) return "too-long";
  if (bytes.length < TYPE_OFFSET + 2) return "truncated";
  for (let i = 0; i < MAGIC.length; i++) if (bytes[i] !== MAGIC[i]) return "not-a-change";
  if (bytes[TYPE_OFFSET] === CHUNK_TYPE_COMPRESSED) return "compressed";
  if (bytes[TYPE_OFFSET] !== CHUNK_TYPE_CHANGE) return "not-a-change";
  let at = TYPE_OFFSET + 1;
  const leb = (): number => {
    let value = 0;
    for (let factor = 1, i = 0; i < 5; i++, factor *= 0x80) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
    }
    return -1;
  };
  if (leb() !== bytes.length - at) return "wrong-length";
  const digest = hash("sha256", bytes.subarray(TYPE_OFFSET), "buffer");
  for (let i = 0; i < 4; i++) if (bytes[CHECKSUM_OFFSET + i] !== digest[i]) return "wrong-hash";

  const contentsAt = at;
  if (leb() !== (previous.length === 0 ? 0 : 1)) return "wrong-dependencies";
  if (compareAt(bytes, at, previous) === false) return "wrong-dependencies";
  at += previous.length;
  const actor = Buffer.from(documentActor, "hex");
  if (leb() !== actor.length || compareAt(bytes, at, actor) === false) return "wrong-actor";
  at += actor.length;
  if (leb() !== tick + 1) return "wrong-sequence";
  if (leb() !== tick + 1) return "wrong-start";
  // The rest has one possible form for a payload of this length.
  const payloadSize = payloadSizeOf(bytes.length - contentsAt, documentActor, tick, previous);
  if (payloadSize < 1) return "wrong-shape";
  const head = contentsHead(documentActor, tick, previous, payloadSize);
  const payloadAt = contentsAt + head.length;
  if (payloadAt + payloadSize + 2 !== bytes.length) return "wrong-shape";
  if (!compareAt(bytes, contentsAt, head)) return "wrong-shape";
  if (bytes[bytes.length - 2] !== LITERAL_ONE || bytes[bytes.length - 1] !== 0) return "wrong-shape";
  return { bytes, hash: digest, payload: bytes.subarray(payloadAt, payloadAt + payloadSize), tick };
}

function compareAt(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

/** How long the payload is when the contents are this long; -1 when no length fits. */
function payloadSizeOf(length: number, documentActor: string, tick: number, previous: Uint8Array): number {
  const room = length - contentsHead(documentActor, tick, previous, 0).length - 2;
  // Two numbers of the head grow with the payload: by at most four bytes each.
  for (let growth = 0; growth <= 8; growth++) {
    const size = room - growth;
    if (size < 1) return -1;
    if (lebSize(size) - 1 + lebSize(size * 16 + VALUE_TYPE_BYTES) - 1 === growth) return size;
  }
  return -1;
}

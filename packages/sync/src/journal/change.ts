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

/** Bytes of the documents whose changes come now: few writers have each one open. Emptied when full. */
const actors = new Map<string, Uint8Array>();
const ACTOR_COUNT_MAX = 256;

function actorBytesOf(documentActor: string): Uint8Array {
  let bytes = actors.get(documentActor);
  if (bytes === undefined) {
    if (actors.size >= ACTOR_COUNT_MAX) actors.clear();
    bytes = Buffer.from(documentActor, "hex");
    actors.set(documentActor, bytes);
  }
  return bytes;
}

/** What stands before the payload in the contents of a chunk. */
interface Head {
  readonly actor: Uint8Array;
  readonly tick: number;
  readonly previous: Uint8Array;
  readonly payloadSize: number;
}

/** Bytes of the head that are the same whatever it says. */
const HEAD_FIXED_SIZE = 22;

/** How many bytes `writeHead` writes. */
function headSize({ actor, tick, previous, payloadSize }: Head): number {
  const meta = payloadSize * 16 + VALUE_TYPE_BYTES;
  return (
    HEAD_FIXED_SIZE +
    previous.length +
    lebSize(actor.length) +
    actor.length +
    2 * lebSize(tick + 1) +
    String(tick).length +
    lebSize(payloadSize) +
    lebSize(meta)
  );
}

/** The payload and two bytes follow. */
function writeHead(out: Writer, { actor, tick, previous, payloadSize }: Head): void {
  const key = String(tick);
  const meta = payloadSize * 16 + VALUE_TYPE_BYTES;
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
  for (let i = 0; i < key.length; i++) out.byte(key.charCodeAt(i));
  out.byte(1, LITERAL_ONE, ACTION_SET, LITERAL_ONE);
  out.leb(meta);
}

/** The chunk of one tick. `previous`: hash of the change before it in the segment, empty for the first. */
export function encodeChange(
  documentActor: string,
  tick: number,
  previous: Uint8Array,
  payload: Uint8Array,
): VerifiedChange {
  const head = { actor: actorBytesOf(documentActor), tick, previous, payloadSize: payload.length };
  const length = headSize(head) + payload.length + 2;
  const out = new Writer(TYPE_OFFSET + 1 + lebSize(length) + length);
  out.byte(...MAGIC, 0, 0, 0, 0, CHUNK_TYPE_CHANGE);
  out.leb(length);
  writeHead(out, head);
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
  const actor = actorBytesOf(documentActor);
  if (leb() !== actor.length || compareAt(bytes, at, actor) === false) return "wrong-actor";
  at += actor.length;
  if (leb() !== tick + 1) return "wrong-sequence";
  if (leb() !== tick + 1) return "wrong-start";
  // The rest has one possible form for a payload of this length.
  const head = { actor, tick, previous, payloadSize: 0 };
  head.payloadSize = payloadSizeOf(bytes.length - contentsAt, headSize(head));
  if (head.payloadSize < 1) return "wrong-shape";
  const payloadAt = contentsAt + headSize(head);
  const payloadEnd = payloadAt + head.payloadSize;
  if (payloadEnd + 2 !== bytes.length) return "wrong-shape";
  const expected = new Writer(payloadAt - contentsAt);
  writeHead(expected, head);
  if (!compareAt(bytes, contentsAt, expected.bytes)) return "wrong-shape";
  if (bytes[bytes.length - 2] !== LITERAL_ONE || bytes[bytes.length - 1] !== 0) return "wrong-shape";
  return { bytes, hash: digest, payload: bytes.subarray(payloadAt, payloadEnd), tick };
}

function compareAt(bytes: Uint8Array, at: number, expected: Uint8Array): boolean {
  for (let i = 0; i < expected.length; i++) if (bytes[at + i] !== expected[i]) return false;
  return true;
}

/** How long the payload is when the contents are this long, of an empty one's head; -1: no length fits. */
function payloadSizeOf(length: number, emptyHeadSize: number): number {
  const room = length - emptyHeadSize - 2;
  // Two numbers of the head grow with the payload: by at most four bytes each.
  for (let growth = 0; growth <= 8; growth++) {
    const size = room - growth;
    if (size < 1) return -1;
    if (lebSize(size) - 1 + lebSize(size * 16 + VALUE_TYPE_BYTES) - 1 === growth) return size;
  }
  return -1;
}

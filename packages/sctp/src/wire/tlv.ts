// The one walker for everything that is type, length, value: chunks, parameters, error causes.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   +---------------+---------------+-------------------------------+
//   | chunk type    | chunk flags   | length (header, no padding)   |   RFC 9260 §3.2
//   +---------------+---------------+-------------------------------+
//   | parameter type or cause code  | length (header, no padding)   |   RFC 9260 §3.2.1, §3.3.10
//   +-------------------------------+-------------------------------+
import { type Malformed, type MalformedReason, malformed } from "./malformed.ts";

export const TLV_HEADER_SIZE = 4;
export const TLV_LENGTH_OFFSET = 2;

/** Length with padding to a multiple of four. */
export function paddedLength(length: number): number {
  return (length + 3) & ~3;
}

/** What is walked, by what its refusals are called. */
export interface TlvKind {
  readonly truncated: MalformedReason;
  readonly tooShort: MalformedReason;
  readonly overrun: MalformedReason;
}

export const CHUNKS: TlvKind = {
  truncated: "chunk-header-truncated",
  tooShort: "chunk-too-short",
  overrun: "chunk-overrun",
};

export const PARAMETERS: TlvKind = {
  truncated: "parameter-header-truncated",
  tooShort: "parameter-too-short",
  overrun: "parameter-overrun",
};

export const CAUSES: TlvKind = {
  truncated: "cause-header-truncated",
  tooShort: "cause-too-short",
  overrun: "cause-overrun",
};

/**
 * Walks bytes[start, end) without copying or allocating. `next` is true while `offset` and `length` describe
 * an element; afterwards `refusal` says whether the walk came to a clean end. Every step advances by at least
 * four bytes: the length bounds the work, and no legal packet has too many parts. Padding of the last element
 * may be missing: RFC 9260 §3.2 lets a chunk's length leave out the padding of its last parameter.
 */
export class TlvWalker {
  offset = 0;
  /** As on the wire: header included, padding not. */
  length = 0;
  count = 0;
  refusal: MalformedReason | undefined = undefined;
  #bytes: Uint8Array;
  #next = 0;
  #end = 0;
  readonly #kind: TlvKind;

  constructor(kind: TlvKind, bytes: Uint8Array = EMPTY, start = 0, end: number = bytes.length) {
    this.#kind = kind;
    this.#bytes = bytes;
    this.#next = start;
    this.#end = end;
  }

  /** Starts over on other bytes, so that one walker serves every packet. */
  reset(bytes: Uint8Array, start: number, end: number): this {
    this.#bytes = bytes;
    this.#next = start;
    this.#end = end;
    this.offset = start;
    this.length = 0;
    this.count = 0;
    this.refusal = undefined;
    return this;
  }

  next(): boolean {
    const offset = this.#next;
    const left = this.#end - offset;
    if (left <= 0 || this.refusal !== undefined) return false;
    this.offset = offset;
    if (left < TLV_HEADER_SIZE) return this.#refuse(this.#kind.truncated);
    const length = read16(this.#bytes, offset + TLV_LENGTH_OFFSET);
    if (length < TLV_HEADER_SIZE) return this.#refuse(this.#kind.tooShort);
    if (length > left) return this.#refuse(this.#kind.overrun);
    this.length = length;
    this.count += 1;
    this.#next = offset + paddedLength(length);
    return true;
  }

  /** The refusal with its offset, when the walk was refused. */
  get malformed(): Malformed | undefined {
    return this.refusal === undefined ? undefined : malformed(this.refusal, this.offset);
  }

  #refuse(reason: MalformedReason): false {
    this.refusal = reason;
    return false;
  }
}

const EMPTY = new Uint8Array(0);

// Bounds are the caller's duty: these read what a walker or a length check has admitted.
export function read8(bytes: Uint8Array, offset: number): number {
  return bytes[offset] as number;
}

export function read16(bytes: Uint8Array, offset: number): number {
  return ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
}

/** Unsigned. */
export function read32(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] as number) << 24) |
      ((bytes[offset + 1] as number) << 16) |
      ((bytes[offset + 2] as number) << 8) |
      (bytes[offset + 3] as number)) >>>
    0
  );
}

export function write16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 8;
  bytes[offset + 1] = value;
}

export function write32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value >>> 24;
  bytes[offset + 1] = value >>> 16;
  bytes[offset + 2] = value >>> 8;
  bytes[offset + 3] = value;
}

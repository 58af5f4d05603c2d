// Bytes in and out, of records and of what carries them: numbers, varints, addresses. Reading is total: it
// never throws, and once something was wrong it says so in `failure`, stands at the end and returns zeros.
import {
  type Address,
  addressFromBytes,
  addressTextBytes,
  IPV6_ADDRESS_SIZE,
  NO_ADDRESS,
} from "../address.ts";
import { sessionIdFromBytes } from "./identity.ts";
import type { SessionId } from "./record.ts";

const SESSION_ID_SIZE = 16;
const INITIAL_SIZE = 256;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Grows as needed; reused for many records. */
export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(sizeHint = INITIAL_SIZE) {
    this.#bytes = new Uint8Array(Math.max(16, sizeHint));
  }

  get length(): number {
    return this.#length;
  }

  clear(): void {
    this.#length = 0;
  }

  /** Makes room and returns where to write `count` bytes. */
  #reserve(count: number): number {
    const at = this.#length;
    this.#length = at + count;
    if (this.#length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
    }
    return at;
  }

  u8(value: number): void {
    const at = this.#reserve(1);
    this.#bytes[at] = value;
  }

  /** Overwrites a byte written before. */
  patch(at: number, value: number): void {
    this.#bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.#reserve(2);
    this.#bytes[at] = value >>> 8;
    this.#bytes[at + 1] = value;
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#bytes[at] = value >>> 24;
    this.#bytes[at + 1] = value >>> 16;
    this.#bytes[at + 2] = value >>> 8;
    this.#bytes[at + 3] = value;
  }

  /** Non-negative, up to 2^53 - 1: seven bits a byte, low ones first. */
  varint(value: number): void {
    let left = value;
    while (left >= 0x80) {
      this.u8((left % 0x80) | 0x80);
      left = Math.floor(left / 0x80);
    }
    this.u8(left);
  }

  bytes(bytes: Uint8Array): void {
    const at = this.#reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  text(text: string): void {
    const bytes = encoder.encode(text);
    this.varint(bytes.length);
    this.bytes(bytes);
  }

  /** Puts what was written into `target`. Nothing is allocated: most callers have a place for it. */
  copyTo(target: Uint8Array, at: number): void {
    const bytes = this.#bytes;
    const length = this.#length;
    for (let i = 0; i < length; i++) target[at + i] = bytes[i] as number;
  }

  /** What was written; nothing may be written afterwards: the buffer is not copied when it is full. */
  finish(): Uint8Array {
    return this.#length === this.#bytes.length ? this.#bytes : this.#bytes.slice(0, this.#length);
  }

  /** A copy of what was written since `from`. */
  copy(from = 0): Uint8Array {
    return this.#bytes.slice(from, this.#length);
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  offset: number;
  /** The first thing that was wrong; undefined while all is well. */
  failure: string | undefined;

  constructor(bytes: Uint8Array, offset = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#end = end;
    this.offset = offset;
  }

  get left(): number {
    return this.#end - this.offset;
  }

  get failed(): boolean {
    return this.failure !== undefined;
  }

  /** True when everything was read and nothing was wrong. */
  get finished(): boolean {
    return this.failure === undefined && this.offset === this.#end;
  }

  fail(reason = "truncated"): void {
    this.failure ??= reason;
    this.offset = this.#end;
  }

  skip(count: number): void {
    if (count > this.left) this.fail();
    else this.offset += count;
  }

  u8(): number {
    if (this.offset >= this.#end) {
      this.fail();
      return 0;
    }
    return this.#bytes[this.offset++] as number;
  }

  u16(): number {
    return (this.u8() << 8) | this.u8();
  }

  u32(): number {
    return ((this.u16() << 16) | this.u16()) >>> 0;
  }

  varint(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break;
        return value;
      }
      factor *= 0x80;
    }
    this.fail();
    return 0;
  }

  /** A view of the next bytes, or an empty one when there are fewer. */
  take(count: number): Uint8Array {
    if (count > this.left) {
      this.fail();
      return new Uint8Array(0);
    }
    const at = this.offset;
    this.offset += count;
    return this.#bytes.subarray(at, this.offset);
  }

  sessionId(): SessionId {
    if (this.left < SESSION_ID_SIZE) {
      this.fail();
      return "";
    }
    const at = this.offset;
    this.offset += SESSION_ID_SIZE;
    return sessionIdFromBytes(this.#bytes, at);
  }

  ipv6(): Address {
    const bytes = this.take(IPV6_ADDRESS_SIZE);
    return this.failed ? NO_ADDRESS : addressFromBytes(bytes);
  }

  text(lengthMax: number): string {
    const length = this.varint();
    if (length > lengthMax) {
      this.fail();
      return "";
    }
    try {
      return decoder.decode(this.take(length));
    } catch {
      this.fail();
      return "";
    }
  }
}

/** The four bytes of dotted decimal as a number, or -1. */
export function ipv4Of(text: string): number {
  let value = 0;
  let octet = -1;
  let octets = 0;
  for (let i = 0; i <= text.length; i++) {
    const code = i === text.length ? 46 : text.charCodeAt(i);
    if (code === 46) {
      if (octet < 0 || octets === 4) return -1;
      value = value * 256 + octet;
      octets++;
      octet = -1;
    } else {
      // No leading zero: it would not come back.
      if (code < 48 || code > 57 || octet === 0) return -1;
      octet = (octet < 0 ? 0 : octet * 10) + code - 48;
      if (octet > 255) return -1;
    }
  }
  return octets === 4 ? value : -1;
}

/**
 * Texts made lately, by a hash of the address: each address of a session is read several times in some
 * milliseconds.
 */
const IPV4_TEXT_COUNT = 4096;
const ipv4Values = new Float64Array(IPV4_TEXT_COUNT).fill(-1);
const ipv4Texts: Address[] = new Array<Address>(IPV4_TEXT_COUNT).fill(NO_ADDRESS);

export function ipv4Text(value: number): Address {
  const at = (value ^ (value >>> 12)) & (IPV4_TEXT_COUNT - 1);
  if (ipv4Values[at] === value) return ipv4Texts[at] as Address;
  const text: Address = `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
  ipv4Values[at] = value;
  ipv4Texts[at] = text;
  return text;
}

/** The 16 bytes of an IPv6 address whose text is canonical, or undefined. */
export function ipv6Of(text: string): Uint8Array | undefined {
  if (!text.includes(":")) return undefined;
  const bytes = addressTextBytes(text);
  return bytes !== undefined && addressFromBytes(bytes) === text ? bytes : undefined;
}

// Bytes in and out. The writer grows, the reader is total: past the end, or on a value out of its limit, it notes a
// reason, answers zeros and empties, and never throws or reads on. Callers bound every loop by `reader.failure`.

/** LEB128 of up to 53 bits takes at most 8 bytes. */
const VARINT_BYTES_MAX = 8;

const encoder = new TextEncoder();
// fatal: bytes that are no UTF-8 are malformed, not replacement characters.
const decoder = new TextDecoder("utf-8", { fatal: true });

export class ByteWriter {
  #bytes: Uint8Array;
  #length = 0;

  constructor(sizeHint = 256) {
    this.#bytes = new Uint8Array(Math.max(16, sizeHint));
  }

  byte(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  /** An integer from 0 to Number.MAX_SAFE_INTEGER. */
  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`);
    this.#reserve(VARINT_BYTES_MAX);
    let rest = value;
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#bytes[this.#length++] = rest;
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Bytes with their length before them. */
  sized(bytes: Uint8Array): this {
    return this.varint(bytes.length).raw(bytes);
  }

  text(text: string): this {
    return this.sized(encoder.encode(text));
  }

  /** What was written; the buffer is not shared. */
  finish(): Uint8Array {
    return this.#length === this.#bytes.length ? this.#bytes : this.#bytes.slice(0, this.#length);
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;
  /** The first thing that was wrong; undefined while all is well. */
  failure: string | undefined;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** True when everything was read and nothing was wrong. */
  get finished(): boolean {
    return this.failure === undefined && this.#offset === this.#bytes.length;
  }

  fail(reason: string): void {
    this.failure ??= reason;
  }

  byte(): number {
    const value = this.#bytes[this.#offset];
    if (this.failure !== undefined || value === undefined) {
      this.fail("truncated");
      return 0;
    }
    this.#offset++;
    return value;
  }

  /** An integer from 0 to `max`, in its shortest form: one value has one encoding. */
  varint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.byte();
      if (this.failure !== undefined) return 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0) break;
        if (value > max) {
          this.fail("number-too-large");
          return 0;
        }
        return value;
      }
      scale *= 0x80;
    }
    this.fail("number-malformed");
    return 0;
  }

  flag(): boolean {
    return this.varint(1) === 1;
  }

  /** Exactly `length` bytes, copied: the caller owns them, and the buffer they came in can go. */
  raw(length: number): Uint8Array {
    if (this.failure !== undefined || length > this.#bytes.length - this.#offset) {
      this.fail("truncated");
      return new Uint8Array(0);
    }
    // new Uint8Array(…), since a Buffer's own slice shares memory.
    const copy = new Uint8Array(this.#bytes.subarray(this.#offset, this.#offset + length));
    this.#offset += length;
    return copy;
  }

  sized(lengthMax: number): Uint8Array {
    const length = this.varint();
    if (length > lengthMax) {
      this.fail("bytes-too-long");
      return new Uint8Array(0);
    }
    return this.raw(length);
  }

  text(lengthMax: number): string {
    const bytes = this.sized(lengthMax);
    try {
      return decoder.decode(bytes);
    } catch {
      this.fail("text-malformed");
      return "";
    }
  }

  /** A list of at most `countMax` items; stops at the first failure. */
  list<T>(countMax: number, item: () => T): T[] {
    const count = this.varint();
    if (count > countMax) {
      this.fail("list-too-long");
      return [];
    }
    const items: T[] = [];
    for (let i = 0; i < count && this.failure === undefined; i++) items.push(item());
    return items;
  }
}

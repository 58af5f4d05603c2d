// Bytes of messages between members: those of records (@holdfast/model), with a limit on every number, length
// and list, so that a failure says what was beyond which.
import { ByteReader, ByteWriter } from "@holdfast/model";

/** LEB128 of up to 53 bits takes at most 8 bytes. */
const VARINT_BYTES_MAX = 8;

const encoder = new TextEncoder();
// fatal: bytes that are no UTF-8 are malformed, not replacement characters.
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Each call returns the writer. */
export class MessageWriter {
  readonly #out: ByteWriter;

  constructor(sizeHint?: number) {
    this.#out = new ByteWriter(sizeHint);
  }

  byte(value: number): this {
    this.#out.u8(value);
    return this;
  }

  /** An integer from 0 to Number.MAX_SAFE_INTEGER. */
  varint(value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not an unsigned integer: ${value}`);
    this.#out.varint(value);
    return this;
  }

  raw(bytes: Uint8Array): this {
    this.#out.bytes(bytes);
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
    return this.#out.finish();
  }
}

export class MessageReader {
  readonly #in: ByteReader;

  constructor(bytes: Uint8Array) {
    this.#in = new ByteReader(bytes);
  }

  /** The first thing that was wrong; undefined while all is well. */
  get failure(): string | undefined {
    return this.#in.failure;
  }

  /** True when everything was read and nothing was wrong. */
  get finished(): boolean {
    return this.#in.finished;
  }

  fail(reason: string): void {
    this.#in.fail(reason);
  }

  byte(): number {
    return this.#in.u8();
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
        if (value <= max) return value;
        this.fail("number-too-large");
        return 0;
      }
      scale *= 0x80;
    }
    this.fail("number-malformed");
    return 0;
  }

  flag(): boolean {
    return this.varint(1) === 1;
  }

  /** Exactly `length` bytes where they lie, to be read at once; fewer after a failure. */
  view(length: number): Uint8Array {
    return this.#in.take(length);
  }

  /** Exactly `length` bytes, copied: the caller owns them, and the buffer they came in can go. */
  raw(length: number): Uint8Array {
    // new Uint8Array(…), since a Buffer's own slice shares memory.
    return new Uint8Array(this.view(length));
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

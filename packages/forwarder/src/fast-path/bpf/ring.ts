// A BPF ring buffer, read in place: https://docs.kernel.org/bpf/ringbuf.html
//
// One page with the consumer's position, which is ours to write; then, read-only, one page with the producer's, and the
// data twice in a row, so that no record is broken at the end. Of the second time the longest record's worth is
// mapped: all of it would count as memory of this process twice.

import { libc, type Pointer } from "../../kernel/libc.ts";
import { mapShared, PROT_READ, PROT_READ_WRITE, viewOf } from "../../kernel/memory.ts";
import { LIMITS } from "./abi.ts";

const PAGE_SIZE = 4096;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const HEADER_SIZE = 8;
/** Behind the data: any record that begins in it ends there. */
const TAIL_SIZE = 2 * LIMITS.PUNT_SIZE_MAX;

export class Ring {
  readonly fd: number;
  readonly #mappedSize: number;
  readonly #mask: number;
  readonly #consumerPointer: Pointer;
  readonly #producerPointer: Pointer;
  readonly #consumer: BigUint64Array;
  readonly #producer: BigUint64Array;
  readonly #heads: Int32Array;
  readonly #data: Buffer;
  #position: bigint;

  /** `size`: bytes of data, as in the map's max_entries. */
  constructor(fd: number, size: number) {
    this.fd = fd;
    this.#mask = size - 1;
    this.#consumerPointer = map(fd, PAGE_SIZE, PROT_READ_WRITE, 0);
    this.#mappedSize = PAGE_SIZE + size + Math.min(size, TAIL_SIZE);
    this.#producerPointer = map(fd, this.#mappedSize, PROT_READ, PAGE_SIZE);
    this.#consumer = new BigUint64Array(viewOf(this.#consumerPointer, PAGE_SIZE), 0, 1);
    const shared = viewOf(this.#producerPointer, this.#mappedSize);
    this.#producer = new BigUint64Array(shared, 0, 1);
    this.#heads = new Int32Array(shared, PAGE_SIZE);
    this.#data = Buffer.from(shared, PAGE_SIZE);
    this.#position = this.#consumer[0] as bigint;
  }

  /**
   * Visits at most `countMax` records; `start` and `end` are in `bytes`, which must not be written and holds the record
   * only during the call. Returns how many there were.
   */
  drain(countMax: number, visit: (bytes: Buffer, start: number, end: number) => void): number {
    let count = 0;
    while (count < countMax) {
      if (this.#position >= Atomics.load(this.#producer, 0)) break;
      const at = Number(this.#position & BigInt(this.#mask));
      const head = Atomics.load(this.#heads, at / 4);
      if (head & BUSY) break;
      const length = head & ~(BUSY | DISCARD);
      if ((head & DISCARD) === 0) {
        count += 1;
        visit(this.#data, at + HEADER_SIZE, at + HEADER_SIZE + length);
      }
      this.#position += BigInt((HEADER_SIZE + length + 7) & ~7);
      Atomics.store(this.#consumer, 0, this.#position);
    }
    return count;
  }

  /** Nothing may be read afterwards: the memory is gone. */
  close(): void {
    libc().munmap(this.#consumerPointer, PAGE_SIZE);
    libc().munmap(this.#producerPointer, this.#mappedSize);
  }
}

function map(fd: number, size: number, protection: number, offset: number): Pointer {
  return mapShared("a punt ring", { fd, size, protection, offset });
}

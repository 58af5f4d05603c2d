// A BPF ring buffer, read in place: https://docs.kernel.org/bpf/ringbuf.html
//
// One page with the consumer's position, which is ours to write; then, read-only, one page with the producer's, and the
// data twice in a row, so that no record is broken at the end.

import { libc, type Pointer } from "../../kernel/libc.ts";
import { mapShared, PROT_READ, PROT_READ_WRITE, viewOf } from "../../kernel/memory.ts";

const PAGE_SIZE = 4096;
const BUSY = 0x8000_0000;
const DISCARD = 0x4000_0000;
const HEADER_SIZE = 8;

export class Ring {
  readonly fd: number;
  readonly #size: number;
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
    this.#size = size;
    this.#mask = size - 1;
    this.#consumerPointer = map(fd, PAGE_SIZE, PROT_READ_WRITE, 0);
    this.#producerPointer = map(fd, PAGE_SIZE + 2 * size, PROT_READ, PAGE_SIZE);
    this.#consumer = new BigUint64Array(viewOf(this.#consumerPointer, PAGE_SIZE), 0, 1);
    const shared = viewOf(this.#producerPointer, PAGE_SIZE + 2 * size);
    this.#producer = new BigUint64Array(shared, 0, 1);
    this.#heads = new Int32Array(shared, PAGE_SIZE);
    this.#data = Buffer.from(shared, PAGE_SIZE, 2 * size);
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
    libc().munmap(this.#producerPointer, PAGE_SIZE + 2 * this.#size);
  }
}

function map(fd: number, size: number, protection: number, offset: number): Pointer {
  return mapShared("a punt ring", { fd, size, protection, offset });
}

// The memory that quick flows lie in, as the programs see it: buckets of slots, and lines, of which a flow has
// one or two. Both are in maps that this process has mapped, so that nothing here is a system call.

import { libc, type Pointer } from "../../kernel/libc.ts";
import { mapShared, PROT_READ_WRITE, viewOf } from "../../kernel/memory.ts";
import { LIMITS, QUICK_BUCKET, QUICK_LINE } from "./abi.ts";

/** Lines of a default table: with their slots 18 MiB of the kernel's. */
export const QUICK_LINE_COUNT_MAX = 262_144;
export const SLOT_COUNT = LIMITS.QUICK_SLOT_COUNT;
const NUMBER_MASK = (1 << LIMITS.QUICK_NUMBER_BITS) - 1;
const FLOWS_PER_BUCKET = SLOT_COUNT / 2;
/** Lines that the longest flow has. */
const LINES_PER_FLOW = 2;
/** A program runs for microseconds; where a hypervisor takes its processor away, for some more. */
const REST_MS = 1_000;
/** Lines mapped at once, when the first is needed: 1 MiB. What is mapped counts as this process's memory. */
const CHUNK_COUNT = 16_384;
export const LINE_WORDS = QUICK_LINE.SIZE / 4;

export type LineCount = 1 | 2;

/**
 * Sizes of the maps: so many flows of any kind have their lines, below the limit. Of the lines, one more is
 * number 0, which is none, and number 1 is nobody's pair.
 */
export function quickSizes(flowCountMax: number): { readonly lines: number; readonly buckets: number } {
  const lines = Math.min(LINES_PER_FLOW * flowCountMax + 1, QUICK_LINE_COUNT_MAX, NUMBER_MASK);
  let buckets = 1;
  while (buckets * FLOWS_PER_BUCKET < Math.min(flowCountMax, lines)) buckets *= 2;
  return { lines, buckets };
}

/** Memory of a map, from a byte on. */
export interface QuickMemory {
  words(part: "buckets" | "lines", from: number, size: number): Uint32Array<ArrayBuffer>;
  close(): void;
}

/** The maps' own, as the programs see it. Throws when it cannot be mapped. */
export function mappedQuick(fds: { readonly buckets: number; readonly lines: number }): QuickMemory {
  const mappings: { readonly pointer: Pointer; readonly size: number }[] = [];
  return {
    words: (part, from, size) => {
      const where = { fd: fds[part], size, protection: PROT_READ_WRITE, offset: from };
      const pointer = mapShared("the quick flows", where);
      mappings.push({ pointer, size });
      return new Uint32Array(viewOf(pointer, size));
    },
    close: () => {
      for (const { pointer, size } of mappings.splice(0)) libc().munmap(pointer, size);
    },
  };
}

/** Over the maps of loaded programs. */
export function quickStoreOf(
  plane: {
    readonly maps: { readonly hf_quick_buckets: number; readonly hf_quick_lines: number };
    readonly flowCountMax: number;
    readonly quickSeed: number;
  },
  nowMs: () => number,
): QuickStore {
  const { maps, flowCountMax, quickSeed: seed } = plane;
  const memory = mappedQuick({ buckets: maps.hf_quick_buckets, lines: maps.hf_quick_lines });
  return new QuickStore(memory, { flowCountMax, seed }, nowMs);
}

export class QuickStore {
  readonly seed: number;
  readonly #memory: QuickMemory;
  readonly #bucketCount: number;
  readonly #lineCount: number;
  readonly #numbers: LineNumbers;
  #buckets: Uint32Array<ArrayBuffer> | undefined;
  readonly #chunks: Uint32Array<ArrayBuffer>[] = [];

  /** Of maps with `quickSizes(flowCountMax)`. */
  constructor(
    memory: QuickMemory,
    settings: { readonly flowCountMax: number; readonly seed: number },
    nowMs: () => number,
  ) {
    const sizes = quickSizes(settings.flowCountMax);
    this.#memory = memory;
    this.#bucketCount = sizes.buckets;
    this.#lineCount = sizes.lines;
    this.#numbers = new LineNumbers(sizes.lines, nowMs);
    this.seed = settings.seed;
  }

  get buckets(): Uint32Array<ArrayBuffer> {
    this.#buckets ??= this.#memory.words("buckets", 0, pages(this.#bucketCount * QUICK_BUCKET.SIZE));
    return this.#buckets;
  }

  /** Of the bucket that the hash says. */
  firstSlot(hash: number): number {
    return (hash & (this.#bucketCount - 1)) * SLOT_COUNT;
  }

  /** Where line `number` stands, after `at(number)` words. */
  wordsOf(number: number): Uint32Array<ArrayBuffer> {
    return this.#chunks[Math.floor(number / CHUNK_COUNT)] as Uint32Array<ArrayBuffer>;
  }

  at(number: number): number {
    return (number % CHUNK_COUNT) * LINE_WORDS;
  }

  /** The first of so many lines that no program reads; 0: there is none. */
  allocate(lineCount: LineCount): number {
    const number = this.#numbers.take(lineCount);
    const chunk = Math.floor(number / CHUNK_COUNT);
    if (number !== 0 && this.#chunks[chunk] === undefined) {
      const count = Math.min(CHUNK_COUNT, this.#lineCount + 1 - chunk * CHUNK_COUNT);
      const from = chunk * CHUNK_COUNT * QUICK_LINE.SIZE;
      this.#chunks[chunk] = this.#memory.words("lines", from, pages(count * QUICK_LINE.SIZE));
    }
    return number;
  }

  /** No slot points there any more: it is given again when no program can be reading it. */
  rest(number: number, lineCount: LineCount): void {
    this.#numbers.rest(number, lineCount);
  }

  /** Nothing may be called afterwards: the memory is gone. */
  close(): void {
    this.#buckets = undefined;
    this.#chunks.length = 0;
    this.#memory.close();
  }
}

interface Pool {
  readonly free: number[];
  /** Those that rest: the older ones since when the younger ones came. */
  older: number[];
  younger: number[];
}

/** Numbers of lines, alone or by two, of which the first is even: such two lie in one pair of cache lines. */
class LineNumbers {
  readonly #countMax: number;
  readonly #nowMs: () => number;
  readonly #pools: Readonly<Record<LineCount, Pool>> = {
    1: { free: [], older: [], younger: [] },
    2: { free: [], older: [], younger: [] },
  };
  #fresh = 1;
  #turnedAtMs = Number.NEGATIVE_INFINITY;

  constructor(countMax: number, nowMs: () => number) {
    this.#countMax = countMax;
    this.#nowMs = nowMs;
  }

  /** 0: there is none. */
  take(lineCount: LineCount): number {
    this.#turn();
    const known = this.#pools[lineCount].free.pop();
    if (known !== undefined) return known;
    return lineCount === 1 ? this.#takeOne() : this.#takeTwo();
  }

  rest(number: number, lineCount: LineCount): void {
    this.#pools[lineCount].younger.push(number);
  }

  #takeOne(): number {
    if (this.#fresh <= this.#countMax) return this.#fresh++;
    const two = this.#pools[2].free.pop();
    if (two === undefined) return 0;
    this.#pools[1].free.push(two + 1);
    return two;
  }

  #takeTwo(): number {
    if (this.#fresh + 1 > this.#countMax) return 0;
    if (this.#fresh % 2 === 1) this.#pools[1].free.push(this.#fresh++);
    if (this.#fresh + 1 > this.#countMax) return 0;
    this.#fresh += 2;
    return this.#fresh - 2;
  }

  #turn(): void {
    const now = this.#nowMs();
    if (now - this.#turnedAtMs < REST_MS) return;
    for (const pool of Object.values(this.#pools)) {
      // All of the older ones have rested at least as long as between the two last turns.
      for (const number of pool.older) pool.free.push(number);
      pool.older = pool.younger;
      pool.younger = [];
    }
    this.#turnedAtMs = now;
  }
}

function pages(size: number): number {
  return Math.ceil(size / 4096) * 4096;
}

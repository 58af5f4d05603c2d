// Where packets of established IPv4 flows look first: a bucket of slots, which is one cache line, and the flow,
// which is one more. Both lie in maps that this process has mapped, so that nothing here is a system call.
//
// It holds what needs nothing but to be passed on, and nothing that the table of all flows has not got: a flow
// that finds no room here, or is taken away, is slower and no less right. A flow is written where no slot points
// to, and then a slot is: programs see all of it or nothing. What a slot pointed to rests before it is written
// again, since a program may still be reading it.

import { libc, type Pointer } from "../../kernel/libc.ts";
import { mapShared, PROT_READ_WRITE, viewOf } from "../../kernel/memory.ts";
import { FLOW_FLAG, FLOW_HEAD, FLOW4, FLOW4_KEY, LIMITS, QUICK_BUCKET, QUICK4 } from "./abi.ts";

/** Flows of a default table: 18 MiB of the kernel's. */
export const QUICK_COUNT_MAX = 262_144;
const SLOT_COUNT = LIMITS.QUICK_SLOT_COUNT;
const NUMBER_MASK = (1 << LIMITS.QUICK_NUMBER_BITS) - 1;
const FLOWS_PER_BUCKET = SLOT_COUNT / 2;
/** A program runs for microseconds; with a processor that a hypervisor takes away in between, for some more. */
const REST_MS = 1_000;
/** Flows mapped at once, when the first of them is needed: 1 MiB. What is mapped counts as this process's memory. */
const CHUNK_COUNT = 16_384;
const FLOW_WORDS = QUICK4.SIZE / 4;
/** Flags of flows that packets change nothing of. */
const QUICK_FLAGS = FLOW_FLAG.REPLY | FLOW_FLAG.DOWN;

/** What the programs have counted of a flow since they wrote it to the table of all flows last. */
export interface QuickCounts {
  readonly packets: number;
  readonly bytes: number;
  /** Jiffies. */
  readonly lastSeen: number;
}

/** Sizes of the maps for so many flows. */
export function quickSizes(flowCountMax: number): { readonly flows: number; readonly buckets: number } {
  const flows = Math.min(flowCountMax, QUICK_COUNT_MAX, NUMBER_MASK);
  let buckets = 1;
  while (buckets * FLOWS_PER_BUCKET < flows) buckets *= 2;
  return { flows, buckets };
}

/** As quick_hash in program/quick.h; words as a little-endian host loads them. */
export function hashOf(seed: number, source: number, destination: number, ports: number): number {
  let hash = Math.imul(source ^ seed, 0x9e3779b1);
  hash ^= Math.imul(destination, 0x85ebca6b) ^ Math.imul(ports ^ seed, 0xc2b2ae35);
  hash = Math.imul((hash >>> 15) ^ hash, 0x2c1b3c6d);
  return ((hash >>> 13) ^ hash) >>> 0;
}

/** Whether a value of hf_flows4 is of a flow that may be quick. */
export function isQuick(value: Buffer, at: number): boolean {
  return (value.readUInt16LE(at + FLOW_HEAD.flags) & ~QUICK_FLAGS) === 0;
}

/** Memory of a map, from a byte on. */
export interface QuickMemory {
  words(part: "buckets" | "flows", from: number, size: number): Uint32Array<ArrayBuffer>;
  close(): void;
}

/** The maps' own, as the programs see it. Throws when it cannot be mapped. */
export function mappedQuick(fds: { readonly buckets: number; readonly flows: number }): QuickMemory {
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
export function quickFlowsOf(
  plane: {
    readonly maps: { readonly hf_quick_buckets: number; readonly hf_quick4: number };
    readonly flowCountMax: number;
    readonly quickSeed: number;
  },
  nowMs: () => number,
): QuickFlows {
  const { maps, flowCountMax, quickSeed: seed } = plane;
  const memory = mappedQuick({ buckets: maps.hf_quick_buckets, flows: maps.hf_quick4 });
  return new QuickFlows(memory, { flowCountMax, seed }, nowMs);
}

export class QuickFlows {
  readonly #memory: QuickMemory;
  readonly #countMax: number;
  readonly #bucketCount: number;
  readonly #seed: number;
  readonly #nowMs: () => number;
  #buckets: Uint32Array<ArrayBuffer> | undefined;
  readonly #chunks: Uint32Array<ArrayBuffer>[] = [];
  #fresh = 1;
  /** Numbers to be given again, and those that rest: the older ones since when the younger ones came. */
  #free: number[] = [];
  #older: number[] = [];
  #younger: number[] = [];
  #turnedAtMs = Number.NEGATIVE_INFINITY;
  #size = 0;
  /** Of the flow that was found: its slot, and its number. */
  #slot = 0;
  #number = 0;

  /** Of maps with `quickSizes(flowCountMax)`, one flow more, which is number 0 and none. */
  constructor(
    memory: QuickMemory,
    settings: { readonly flowCountMax: number; readonly seed: number },
    nowMs: () => number,
  ) {
    const sizes = quickSizes(settings.flowCountMax);
    this.#memory = memory;
    this.#countMax = sizes.flows;
    this.#bucketCount = sizes.buckets;
    this.#seed = settings.seed;
    this.#nowMs = nowMs;
  }

  /** How many flows are quick. */
  get size(): number {
    return this.#size;
  }

  /**
   * The flow of a key and a value of hf_flows4, instead of what is there under this key. `jiffies`: now. Counts go on
   * where the session is the same one. false: there is no room; what is there is to be taken.
   */
  put(key: Buffer, keyAt: number, value: Buffer, valueAt: number, isSame: boolean, jiffies: number): boolean {
    const hash = this.#find(key, keyAt);
    const before = this.#number;
    const slot = before === 0 ? this.#emptySlot(hash) : this.#slot;
    const number = slot < 0 ? 0 : this.#allocate();
    if (number === 0) return false;
    const words = this.#wordsOf(number);
    write(words, this.#at(number), key, keyAt, value, valueAt);
    this.#count(number, value.readUInt32LE(valueAt + FLOW_HEAD.lastSeen), jiffies);
    if (before !== 0 && isSame) this.#carry(before, number);
    const pointer = ((hash >>> LIMITS.QUICK_NUMBER_BITS) << LIMITS.QUICK_NUMBER_BITS) | number;
    Atomics.store(this.#buckets as Uint32Array, slot, pointer >>> 0);
    if (before === 0) this.#size++;
    else this.#rest(before);
    return true;
  }

  /** undefined: it is not quick. */
  counts(key: Buffer, keyAt: number): QuickCounts | undefined {
    this.#find(key, keyAt);
    return this.#number === 0 ? undefined : this.#countsOf(this.#number);
  }

  /** Takes the flow away, and what it has counted with it; undefined: it is not quick. */
  take(key: Buffer, keyAt: number): QuickCounts | undefined {
    this.#find(key, keyAt);
    if (this.#number === 0) return undefined;
    this.#empty();
    return this.#countsOf(this.#number);
  }

  /** Nothing may be called afterwards: the memory is gone. */
  close(): void {
    this.#buckets = undefined;
    this.#chunks.length = 0;
    this.#memory.close();
  }

  #empty(): void {
    Atomics.store(this.#buckets as Uint32Array, this.#slot, 0);
    this.#rest(this.#number);
    this.#size--;
  }

  /** Sets #slot and #number, which is 0 when there is none; returns the hash. */
  #find(key: Buffer, keyAt: number): number {
    const source = key.readUInt32LE(keyAt + FLOW4_KEY.source);
    const destination = key.readUInt32LE(keyAt + FLOW4_KEY.destination);
    const ports = key.readUInt32LE(keyAt + FLOW4_KEY.sourcePort);
    const hash = hashOf(this.#seed, source, destination, ports);
    const tag = hash >>> LIMITS.QUICK_NUMBER_BITS;
    const from = this.#firstSlot(hash);
    const buckets = this.#mappedBuckets();
    this.#number = 0;
    for (let i = 0; i < SLOT_COUNT; i++) {
      // As the program does: most stand where it looks first.
      const slot = from + ((tag + i) & (SLOT_COUNT - 1));
      const pointer = buckets[slot] as number;
      const number = pointer & NUMBER_MASK;
      if (pointer >>> LIMITS.QUICK_NUMBER_BITS !== tag || number === 0) continue;
      const words = this.#wordsOf(number);
      const at = this.#at(number);
      if (
        words[at + QUICK4.source / 4] === source &&
        words[at + QUICK4.destination / 4] === destination &&
        words[at + QUICK4.sourcePort / 4] === ports
      ) {
        this.#slot = slot;
        this.#number = number;
        return hash;
      }
    }
    return hash;
  }

  /** The program begins to look at the place that the hash says: so does this. -1: the bucket is full. */
  #emptySlot(hash: number): number {
    const from = this.#firstSlot(hash);
    const first = hash >>> LIMITS.QUICK_NUMBER_BITS;
    const buckets = this.#mappedBuckets();
    for (let i = 0; i < SLOT_COUNT; i++) {
      const slot = from + ((first + i) & (SLOT_COUNT - 1));
      if (buckets[slot] === 0) return slot;
    }
    return -1;
  }

  #firstSlot(hash: number): number {
    return (hash & (this.#bucketCount - 1)) * SLOT_COUNT;
  }

  #mappedBuckets(): Uint32Array {
    this.#buckets ??= this.#memory.words("buckets", 0, pages(this.#bucketCount * QUICK_BUCKET.SIZE));
    return this.#buckets;
  }

  #wordsOf(number: number): Uint32Array<ArrayBuffer> {
    return this.#chunks[Math.floor(number / CHUNK_COUNT)] as Uint32Array<ArrayBuffer>;
  }

  #at(number: number): number {
    return (number % CHUNK_COUNT) * FLOW_WORDS;
  }

  /** A number that no program reads; 0: there is none. */
  #allocate(): number {
    const now = this.#nowMs();
    if (now - this.#turnedAtMs >= REST_MS) {
      // All of the older ones have rested at least as long as between the two last turns.
      for (const number of this.#older) this.#free.push(number);
      this.#older = this.#younger;
      this.#younger = [];
      this.#turnedAtMs = now;
    }
    const known = this.#free.pop();
    if (known !== undefined) return known;
    if (this.#fresh > this.#countMax) return 0;
    const number = this.#fresh++;
    const chunk = Math.floor(number / CHUNK_COUNT);
    if (this.#chunks[chunk] === undefined) {
      const count = Math.min(CHUNK_COUNT, this.#countMax + 1 - chunk * CHUNK_COUNT);
      const from = chunk * CHUNK_COUNT * QUICK4.SIZE;
      this.#chunks[chunk] = this.#memory.words("flows", from, pages(count * QUICK4.SIZE));
    }
    return number;
  }

  #rest(number: number): void {
    this.#younger.push(number);
  }

  #countsOf(number: number): QuickCounts {
    const words = this.#wordsOf(number);
    const at = this.#at(number);
    return {
      packets: words[at + QUICK4.packets / 4] as number,
      bytes: words[at + QUICK4.bytes / 4] as number,
      lastSeen: words[at + QUICK4.lastSeen / 4] as number,
    };
  }

  #count(number: number, lastSeen: number, jiffies: number): void {
    const words = this.#wordsOf(number);
    const at = this.#at(number);
    words[at + QUICK4.lastSeen / 4] = lastSeen;
    words[at + QUICK4.packets / 4] = 0;
    words[at + QUICK4.bytes / 4] = 0;
    words[at + QUICK4.folded / 4] = jiffies;
  }

  #carry(from: number, to: number): void {
    const [old, words] = [this.#wordsOf(from), this.#wordsOf(to)];
    for (const field of [QUICK4.lastSeen, QUICK4.packets, QUICK4.bytes, QUICK4.folded] as const)
      words[this.#at(to) + field / 4] = old[this.#at(from) + field / 4] as number;
  }
}

function pages(size: number): number {
  return Math.ceil(size / 4096) * 4096;
}

/** Everything but what is counted. */
function write(
  words: Uint32Array,
  at: number,
  key: Buffer,
  keyAt: number,
  value: Buffer,
  valueAt: number,
): void {
  const word = (offset: number) => value.readUInt32LE(valueAt + offset);
  const hasReply = (value.readUInt16LE(valueAt + FLOW_HEAD.flags) & FLOW_FLAG.REPLY) !== 0;
  words[at + QUICK4.source / 4] = key.readUInt32LE(keyAt + FLOW4_KEY.source);
  words[at + QUICK4.destination / 4] = key.readUInt32LE(keyAt + FLOW4_KEY.destination);
  words[at + QUICK4.sourcePort / 4] = key.readUInt32LE(keyAt + FLOW4_KEY.sourcePort);
  words[at + QUICK4.newSource / 4] = word(FLOW4.newSource);
  words[at + QUICK4.newDestination / 4] = word(FLOW4.newDestination);
  words[at + QUICK4.replyDestination / 4] = hasReply ? word(FLOW4.replyDestination) : 0;
  words[at + QUICK4.newSourcePort / 4] = word(FLOW_HEAD.newSourcePort);
  words[at + QUICK4.tag / 4] = word(FLOW_HEAD.tag);
  words[at + QUICK4.checksumDelta / 4] =
    value.readUInt16LE(valueAt + FLOW4.checksumDelta) |
    (value.readUInt16LE(valueAt + FLOW4.replyChecksumDelta) << 16);
  words[at + QUICK4.nexthop / 4] =
    value.readUInt16LE(valueAt + FLOW_HEAD.nexthop) |
    (value.readUInt16LE(valueAt + FLOW_HEAD.replyNexthop) << 16);
  words[at + QUICK4.change / 4] = 0;
  words[at + QUICK4.change / 4 + 1] = 0;
}

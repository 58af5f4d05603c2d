// Quick flows over memory that nobody maps: what a program would find in it, at every moment.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "@holdfast/model";
import fc from "fast-check";
import {
  FLOW_FLAG,
  FLOW_HEAD,
  FLOW4,
  FLOW4_KEY,
  FLOW6,
  FLOW6_KEY,
  LIMITS,
  PLAIN_FLAG,
  QUICK_COUNTS,
  QUICK_LINE,
  QUICK_PLAIN4,
  QUICK_PLAIN6_REST,
  QUICK4,
  QUICK6,
} from "./abi.ts";
import { PLAIN_LAYOUT4, PLAIN_LAYOUT6, type PlainLayout } from "./plain-codec.ts";
import { QuickFlows } from "./quick-flows.ts";
import {
  QUICK_SCTP4,
  QUICK_SCTP6,
  QUICK_TCP4,
  QUICK_TCP6,
  QUICK_UDP4,
  QUICK_UDP6,
  type QuickLayout,
  tagOf,
} from "./quick-layouts.ts";
import { QUICK_LINE_COUNT_MAX, QuickStore, quickSizes } from "./quick-store.ts";

const SLOT_COUNT = LIMITS.QUICK_SLOT_COUNT;
const SEED = 0x1234_5678;
const REST_MS = 1_000;

/** A kind of flows, with keys and values of its table. */
interface Kind {
  readonly name: string;
  readonly layout: QuickLayout;
  /** Words from the first line's beginning to what tells entries apart. */
  readonly tagAt: number;
  readonly flags: Readonly<Record<string, number>>;
  readonly quickFlags: readonly string[];
  /** Clients' addresses and ports beside each other, as a real network has them. */
  keyOf(n: number): Buffer;
  entryOf(tag: number, flags?: number): Buffer;
}

function sctpEntry(size: number, tag: number, flags: number): Buffer {
  const value = Buffer.alloc(size);
  value.writeUInt32LE(tag, FLOW_HEAD.tag);
  value.writeUInt16LE(flags, FLOW_HEAD.flags);
  return value;
}

function plainEntry({ value: fields, valueSize }: PlainLayout, tag: number, flags: number): Buffer {
  const value = Buffer.alloc(valueSize);
  value.writeUInt32LE(tag, fields.newSource);
  value.writeUInt16LE(flags, fields.flags);
  return value;
}

function key4(n: number): Buffer {
  const key = Buffer.alloc(FLOW4_KEY.SIZE);
  key.writeUInt32BE(0x0a40_0001 + (n >>> 2), FLOW4_KEY.source);
  key.writeUInt32BE(0xcb00_7101, FLOW4_KEY.destination);
  key.writeUInt16BE(1_024 + (n & 3), FLOW4_KEY.sourcePort);
  key.writeUInt16BE(38_412, FLOW4_KEY.destinationPort);
  return key;
}

function key6(n: number): Buffer {
  const key = Buffer.alloc(FLOW6_KEY.SIZE);
  key.writeUInt32BE(0xfd00_0001, FLOW6_KEY.source);
  key.writeUInt32BE(1 + (n >>> 2), FLOW6_KEY.source + 12);
  key.writeUInt32BE(0x2001_0db8, FLOW6_KEY.destination);
  key.writeUInt16BE(1_024 + (n & 3), FLOW6_KEY.sourcePort);
  key.writeUInt16BE(38_412, FLOW6_KEY.destinationPort);
  return key;
}

const SCTP_FLAGS = { flags: FLOW_FLAG, quickFlags: ["REPLY", "DOWN"] };
const SCTP4: Kind = {
  name: "SCTP over IPv4",
  layout: QUICK_SCTP4,
  tagAt: QUICK4.tag / 4,
  keyOf: key4,
  entryOf: (tag, flags = 0) => sctpEntry(FLOW4.SIZE, tag, flags),
  ...SCTP_FLAGS,
};
const SCTP6: Kind = {
  name: "SCTP over IPv6",
  layout: QUICK_SCTP6,
  tagAt: QUICK6.tag / 4,
  keyOf: key6,
  entryOf: (tag, flags = 0) => sctpEntry(FLOW6.SIZE, tag, flags),
  ...SCTP_FLAGS,
};

const PLAIN4 = {
  tagAt: QUICK_PLAIN4.newSource / 4,
  keyOf: key4,
  entryOf: (tag: number, flags = 0) => plainEntry(PLAIN_LAYOUT4, tag, flags),
  flags: PLAIN_FLAG,
  quickFlags: ["DOWN", "ASSURED", "EDGES", "QUICK"],
};
const PLAIN6 = {
  ...PLAIN4,
  tagAt: (QUICK_LINE.SIZE + QUICK_PLAIN6_REST.newSource) / 4,
  keyOf: key6,
  entryOf: (tag: number, flags = 0) => plainEntry(PLAIN_LAYOUT6, tag, flags),
};

/** The same numbers of all of them: kinds alone tell flows of two protocols apart. */
const KINDS: readonly Kind[] = [
  SCTP4,
  SCTP6,
  { name: "UDP over IPv4", layout: QUICK_UDP4, ...PLAIN4 },
  { name: "TCP over IPv4", layout: QUICK_TCP4, ...PLAIN4 },
  { name: "UDP over IPv6", layout: QUICK_UDP6, ...PLAIN6 },
  { name: "TCP over IPv6", layout: QUICK_TCP6, ...PLAIN6 },
];
const COUNTS = QUICK4.counts / 4;

function counted(packets: number, bytes: number, lastSeen: number) {
  return { packets, bytes, lastSeen, edges: undefined, isStopped: false };
}

class Bench {
  readonly store: QuickStore;
  readonly buckets: Uint32Array;
  readonly lines: Uint32Array;
  readonly #flows: ReadonlyMap<Kind, QuickFlows>;
  readonly #mask: number;
  readonly #seed: number;
  nowMs = 0;

  constructor(flowCountMax: number, seed = SEED) {
    const sizes = quickSizes(flowCountMax);
    const room = (size: number) => new ArrayBuffer(Math.ceil(size / 4096) * 4096);
    const memory = {
      buckets: room(sizes.buckets * SLOT_COUNT * 4),
      lines: room((sizes.lines + 1) * QUICK_LINE.SIZE),
    };
    this.buckets = new Uint32Array(memory.buckets);
    this.lines = new Uint32Array(memory.lines);
    this.store = new QuickStore(
      { words: (part, from, size) => new Uint32Array(memory[part], from, size / 4), close: () => {} },
      { flowCountMax, seed },
      () => this.nowMs,
    );
    this.#flows = new Map(KINDS.map((kind) => [kind, new QuickFlows(this.store, kind.layout)]));
    this.#mask = sizes.buckets - 1;
    this.#seed = seed;
  }

  get size(): number {
    return KINDS.reduce((sum, kind) => sum + this.quick(kind).size, 0);
  }

  quick(kind: Kind): QuickFlows {
    return this.#flows.get(kind) as QuickFlows;
  }

  put(kind: Kind, n: number, tag: number, isSame = true): boolean {
    return this.quick(kind).put(kind.keyOf(n), 0, kind.entryOf(tag), 0, isSame, 0);
  }

  take(kind: Kind, n: number) {
    return this.quick(kind).take(kind.keyOf(n), 0);
  }

  counts(kind: Kind, n: number) {
    return this.quick(kind).counts(kind.keyOf(n), 0);
  }

  /** As the programs look in program/quick.h: where the flow stands, in words. */
  find({ layout, keyOf }: Kind, n: number): number | undefined {
    const words = new Uint32Array(layout.keyWordCount);
    layout.readKey(keyOf(n), 0, words);
    const hash = layout.hash(this.#seed, words);
    for (let i = 0; i < SLOT_COUNT; i++) {
      const slot = this.buckets[(hash & this.#mask) * SLOT_COUNT + i] as number;
      const number = slot & ((1 << LIMITS.QUICK_NUMBER_BITS) - 1);
      const at = number * (QUICK_LINE.SIZE / 4);
      if (slot >>> LIMITS.QUICK_NUMBER_BITS !== tagOf(hash, layout.kind)) continue;
      if (layout.lineCount === 2) assert.equal(number % 2, 0, "two lines are a pair");
      if (words.every((word, index) => this.lines[at + index] === word)) return at;
    }
    return undefined;
  }

  tagOf(kind: Kind, n: number): number | undefined {
    const at = this.find(kind, n);
    return at === undefined ? undefined : (this.lines[at + kind.tagAt] as number);
  }

  /** What the program does for a packet. */
  count(kind: Kind, n: number, size: number, lastSeen: number): void {
    const at = (this.find(kind, n) ?? assert.fail("it is not quick")) + COUNTS;
    const [packets, bytes] = [at + QUICK_COUNTS.packets / 4, at + QUICK_COUNTS.bytes / 4];
    this.lines[packets] = (this.lines[packets] as number) + 1;
    this.lines[bytes] = (this.lines[bytes] as number) + size;
    this.lines[at + QUICK_COUNTS.lastSeen / 4] = lastSeen;
  }
}

describe("quick flows", () => {
  test("a program finds what was put last, and nothing that was taken, whatever the kinds", () => {
    const numbers = fc.nat(30);
    const of = (n: number) => [KINDS[n % KINDS.length] as Kind, Math.floor(n / KINDS.length)] as const;
    const step = fc.oneof(
      fc.record({ kind: fc.constant("put" as const), n: numbers, tag: fc.nat(1_000) }),
      fc.record({ kind: fc.constant("take" as const), n: numbers, tag: fc.constant(0) }),
      fc.record({ kind: fc.constant("wait" as const), n: fc.nat(1_500), tag: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        // Two buckets: some flows find no room.
        const bench = new Bench(16);
        const model = new Map<number, number>();
        for (const { kind, n, tag } of steps) {
          if (kind === "wait") bench.nowMs += n;
          else if (kind === "take") {
            assert.equal(bench.take(...of(n)) !== undefined, model.delete(n));
          } else if (bench.put(...of(n), tag)) model.set(n, tag);
          else if (bench.take(...of(n)) !== undefined) model.delete(n);
          for (let each = 0; each <= 30; each++) assert.equal(bench.tagOf(...of(each)), model.get(each));
          assert.equal(bench.size, model.size);
        }
      }),
    );
  });

  for (const kind of KINDS) {
    test(`${kind.name}: counts go on within a session, and begin anew with another`, () => {
      const bench = new Bench(64);
      bench.put(kind, 1, 7);
      bench.count(kind, 1, 100, 55);
      bench.put(kind, 1, 8, true);
      bench.count(kind, 1, 50, 56);
      assert.deepEqual(bench.counts(kind, 1), counted(2, 150, 56));
      bench.put(kind, 1, 9, false);
      assert.deepEqual(bench.counts(kind, 1), counted(0, 0, 0));
      assert.equal(bench.counts(kind, 2), undefined);
    });

    test(`${kind.name}: what was found before a change stays while a program may be reading it`, () => {
      const bench = new Bench(64);
      bench.put(kind, 1, 7);
      const read = bench.find(kind, 1) as number;
      const words = () => bench.lines.slice(read, read + kind.layout.lineCount * (QUICK_LINE.SIZE / 4));
      const before = words();
      bench.put(kind, 1, 8);
      for (const other of KINDS) for (let n = 2; n < 200; n++) bench.put(other, n, n);
      assert.deepEqual(words(), before);
      bench.nowMs = REST_MS - 1;
      for (const other of KINDS) for (let n = 2; n < 200; n++) bench.put(other, n, n);
      assert.deepEqual(words(), before);
    });

    test(`${kind.name}: a full table of flows finds room for 98 in a hundred, whatever the seed`, () => {
      const random = seededRandom(1);
      for (let round = 0; round < 4; round++) {
        const count = 16_384;
        const bench = new Bench(count, random.uint32());
        let quick = 0;
        for (let n = 0; n < count; n++) if (bench.put(kind, n, n)) quick++;
        assert.ok(quick > count * 0.98, `${quick} of ${count}`);
      }
    });

    test(`${kind.name}: flows that packets change, or that some packets may not take, are not quick`, () => {
      for (const [name, flag] of Object.entries(kind.flags)) {
        const isQuick = kind.layout.isQuick(kind.entryOf(1, flag), 0);
        assert.equal(isQuick, kind.quickFlags.includes(name), name);
      }
    });
  }

  test("a full table refuses; what was taken rests, and is given again after a while", () => {
    // One bucket, whose slots outnumber the flows, and 17 lines.
    const bench = new Bench(8);
    for (let n = 0; n < 8; n++) assert.equal(bench.put(SCTP6, n, n), true);
    assert.equal(bench.put(SCTP6, 8, 8), false);
    bench.take(SCTP6, 3);
    assert.equal(bench.put(SCTP6, 8, 8), false);
    bench.nowMs = REST_MS - 1;
    assert.equal(bench.put(SCTP6, 8, 8), false);
    // In the second turn at the latest.
    for (const turn of [1, 2]) {
      bench.nowMs = turn * 2 * REST_MS;
      if (bench.put(SCTP6, 8, 8)) break;
    }
    assert.deepEqual([bench.tagOf(SCTP6, 8), bench.tagOf(SCTP6, 3), bench.size], [8, undefined, 8]);
  });

  test("where IPv6 has left, IPv4 finds room: a pair of lines is two", () => {
    // One bucket of 16 slots, and nine lines.
    const bench = new Bench(4);
    for (let n = 0; n < 4; n++) assert.equal(bench.put(SCTP6, n, n), true);
    assert.equal(bench.put(SCTP6, 4, 4), false);
    // Line 1 is nobody's pair.
    assert.equal(bench.put(SCTP4, 0, 0), true);
    assert.equal(bench.put(SCTP4, 1, 1), false);
    bench.take(SCTP6, 1);
    bench.nowMs = 2 * REST_MS;
    bench.put(SCTP4, 9, 9);
    bench.take(SCTP4, 9);
    bench.nowMs = 4 * REST_MS;
    for (const n of [1, 2]) assert.equal(bench.put(SCTP4, n, n), true);
    assert.equal(bench.put(SCTP4, 3, 3), false);
    for (let n = 0; n < 3; n++) assert.equal(bench.tagOf(SCTP4, n), n);
    assert.deepEqual([bench.tagOf(SCTP6, 0), bench.tagOf(SCTP6, 2)], [0, 2]);
  });

  test("sizes: two lines and two slots for a flow, and there is a limit", () => {
    assert.deepEqual(quickSizes(1), { lines: 3, buckets: 1 });
    assert.deepEqual(quickSizes(100_000), { lines: 200_001, buckets: 16_384 });
    assert.deepEqual(quickSizes(4_194_304), { lines: QUICK_LINE_COUNT_MAX, buckets: 32_768 });
  });
});

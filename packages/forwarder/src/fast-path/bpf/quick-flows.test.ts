// Quick flows over memory that nobody maps: what a program would find in it, at every moment.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { seededRandom } from "@holdfast/model";
import fc from "fast-check";
import { FLOW_FLAG, FLOW_HEAD, FLOW4, FLOW4_KEY, LIMITS, QUICK4 } from "./abi.ts";
import { hashOf, isQuick, QUICK_COUNT_MAX, QuickFlows, quickSizes } from "./quick-flows.ts";

const SLOT_COUNT = LIMITS.QUICK_SLOT_COUNT;
const SEED = 0x1234_5678;
const REST_MS = 1_000;

class Bench {
  readonly quick: QuickFlows;
  readonly buckets: Uint32Array;
  readonly flows: Uint32Array;
  nowMs = 0;

  constructor(flowCountMax: number, seed = SEED) {
    const sizes = quickSizes(flowCountMax);
    const room = (size: number) => new ArrayBuffer(Math.ceil(size / 4096) * 4096);
    const memory = {
      buckets: room(sizes.buckets * SLOT_COUNT * 4),
      flows: room((sizes.flows + 1) * QUICK4.SIZE),
    };
    this.buckets = new Uint32Array(memory.buckets);
    this.flows = new Uint32Array(memory.flows);
    this.quick = new QuickFlows(
      { words: (part, from, size) => new Uint32Array(memory[part], from, size / 4), close: () => {} },
      { flowCountMax, seed },
      () => this.nowMs,
    );
    this.#mask = sizes.buckets - 1;
    this.#seed = seed;
  }

  readonly #mask: number;
  readonly #seed: number;

  put(n: number, tag: number, isSame = true): boolean {
    return this.quick.put(keyOf(n), 0, entryOf(tag), 0, isSame, 0);
  }

  /** As quick_find in program/quick.h: where the flow stands, in words. */
  find(n: number): number | undefined {
    const key = keyOf(n);
    const words = [0, 4, 8].map((at) => key.readUInt32LE(at)) as [number, number, number];
    const hash = hashOf(this.#seed, ...words);
    for (let i = 0; i < SLOT_COUNT; i++) {
      const slot = this.buckets[(hash & this.#mask) * SLOT_COUNT + i] as number;
      const at = (slot & ((1 << LIMITS.QUICK_NUMBER_BITS) - 1)) * (QUICK4.SIZE / 4);
      if (slot >>> LIMITS.QUICK_NUMBER_BITS !== hash >>> LIMITS.QUICK_NUMBER_BITS) continue;
      if (words.every((word, index) => this.flows[at + index] === word)) return at;
    }
    return undefined;
  }

  tagOf(n: number): number | undefined {
    const at = this.find(n);
    return at === undefined ? undefined : (this.flows[at + QUICK4.tag / 4] as number);
  }

  /** What the program does for a packet. */
  count(n: number, size: number, lastSeen: number): void {
    const at = this.find(n) ?? assert.fail("it is not quick");
    this.flows[at + QUICK4.packets / 4] = (this.flows[at + QUICK4.packets / 4] as number) + 1;
    this.flows[at + QUICK4.bytes / 4] = (this.flows[at + QUICK4.bytes / 4] as number) + size;
    this.flows[at + QUICK4.lastSeen / 4] = lastSeen;
  }
}

/** Clients' addresses and ports beside each other, as a real network has them. */
function keyOf(n: number): Buffer {
  const key = Buffer.alloc(FLOW4_KEY.SIZE);
  key.writeUInt32BE(0x0a40_0001 + (n >>> 2), FLOW4_KEY.source);
  key.writeUInt32BE(0xcb00_7101, FLOW4_KEY.destination);
  key.writeUInt16BE(1_024 + (n & 3), FLOW4_KEY.sourcePort);
  key.writeUInt16BE(38_412, FLOW4_KEY.destinationPort);
  return key;
}

function entryOf(tag: number, flags = 0): Buffer {
  const value = Buffer.alloc(FLOW4.SIZE);
  value.writeUInt32LE(tag, FLOW_HEAD.tag);
  value.writeUInt16LE(flags, FLOW_HEAD.flags);
  return value;
}

describe("quick flows", () => {
  test("a program finds what was put last, and nothing that was taken", () => {
    const numbers = fc.nat(30);
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
            assert.equal(bench.quick.take(keyOf(n), 0) !== undefined, model.delete(n));
          } else if (bench.put(n, tag)) model.set(n, tag);
          else if (bench.quick.take(keyOf(n), 0) !== undefined) model.delete(n);
          for (let each = 0; each <= 30; each++) assert.equal(bench.tagOf(each), model.get(each));
          assert.equal(bench.quick.size, model.size);
        }
      }),
    );
  });

  test("counts go on within a session, and begin anew with another", () => {
    const bench = new Bench(64);
    bench.put(1, 7);
    bench.count(1, 100, 55);
    bench.put(1, 8, true);
    bench.count(1, 50, 56);
    assert.deepEqual(bench.quick.counts(keyOf(1), 0), { packets: 2, bytes: 150, lastSeen: 56 });
    bench.put(1, 9, false);
    assert.deepEqual(bench.quick.counts(keyOf(1), 0), { packets: 0, bytes: 0, lastSeen: 0 });
    assert.equal(bench.quick.counts(keyOf(2), 0), undefined);
  });

  test("what was found before a change stays as it was while a program may be reading it", () => {
    const bench = new Bench(64);
    bench.put(1, 7);
    const read = bench.find(1) as number;
    const before = bench.flows.slice(read, read + QUICK4.SIZE / 4);
    bench.put(1, 8);
    for (let n = 2; n < 200; n++) bench.put(n, n);
    assert.deepEqual(bench.flows.slice(read, read + QUICK4.SIZE / 4), before);
    bench.nowMs = REST_MS - 1;
    for (let n = 2; n < 200; n++) bench.put(n, n);
    assert.deepEqual(bench.flows.slice(read, read + QUICK4.SIZE / 4), before);
  });

  test("a full table refuses; what was taken rests, and is given again after a while", () => {
    // One bucket, whose slots outnumber the flows.
    const bench = new Bench(8);
    for (let n = 0; n < 8; n++) assert.equal(bench.put(n, n), true);
    assert.equal(bench.put(8, 8), false);
    bench.quick.take(keyOf(3), 0);
    assert.equal(bench.put(8, 8), false);
    bench.nowMs = REST_MS - 1;
    assert.equal(bench.put(8, 8), false);
    // In the second turn at the latest.
    for (const turn of [1, 2]) {
      bench.nowMs = turn * 2 * REST_MS;
      if (bench.put(8, 8)) break;
    }
    assert.deepEqual([bench.tagOf(8), bench.tagOf(3), bench.quick.size], [8, undefined, 8]);
  });

  test("a full table of flows finds room for 98 in a hundred, whatever the seed", () => {
    const random = seededRandom(1);
    for (let round = 0; round < 4; round++) {
      const count = 16_384;
      const bench = new Bench(count, random.uint32());
      let quick = 0;
      for (let n = 0; n < count; n++) if (bench.put(n, n)) quick++;
      assert.ok(quick > count * 0.98, `${quick} of ${count}`);
    }
  });

  test("flows that packets change, or that some packets may not take, are not quick", () => {
    for (const [name, flag] of Object.entries(FLOW_FLAG)) {
      const expected = name === "REPLY" || name === "DOWN";
      assert.equal(isQuick(entryOf(1, flag), 0), expected, name);
    }
  });

  test("sizes: half of the slots are for flows, and there is a limit", () => {
    assert.deepEqual(quickSizes(1), { flows: 1, buckets: 1 });
    assert.deepEqual(quickSizes(100_000), { flows: 100_000, buckets: 16_384 });
    assert.deepEqual(quickSizes(4_194_304), { flows: QUICK_COUNT_MAX, buckets: 32_768 });
  });
});

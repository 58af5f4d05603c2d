import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HASH_START, hashEnd, hashNumber, hashText, SlotIndex } from "./slot-index.ts";

function found(index: SlotIndex, hash: number): number[] {
  const slots: number[] = [];
  for (let place = index.seek(hash); place >= 0; place = index.seek(hash, place))
    slots.push(index.slotAt(place));
  return slots.sort((a, b) => a - b);
}

test("slots are found under the hashes that they were added with, and no others, whatever was removed", () => {
  // Few hashes around the wrap of the table, so that runs meet and cross its end.
  const hash = fc.oneof(
    fc.integer({ min: 1018, max: 1030 }),
    fc.integer({ min: 0, max: 4 }),
    fc.nat(0xffff_ffff),
  );
  const step = fc.record({ adds: fc.boolean(), hash, slot: fc.nat(40) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const index = new SlotIndex();
      const expected = new Map<number, Set<number>>();
      for (const { adds, hash, slot } of steps) {
        const slots = expected.get(hash) ?? new Set();
        expected.set(hash, slots);
        if (adds && !slots.has(slot)) index.add(hash, slot);
        if (adds) slots.add(slot);
        else {
          index.remove(hash, slot);
          slots.delete(slot);
        }
      }
      let size = 0;
      for (const [hash, slots] of expected) {
        assert.deepEqual(
          found(index, hash),
          [...slots].sort((a, b) => a - b),
        );
        size += slots.size;
      }
      assert.equal(index.size, size);
    }),
  );
});

test("an index that grows keeps what it holds", () => {
  const index = new SlotIndex();
  const hashOf = (slot: number) => hashEnd(hashNumber(hashText(HASH_START, "10.0.0.1"), slot));
  for (let slot = 0; slot < 5_000; slot++) index.add(hashOf(slot), slot);
  for (let slot = 0; slot < 5_000; slot += 2) index.remove(hashOf(slot), slot);
  assert.equal(index.size, 2_500);
  for (let slot = 0; slot < 5_000; slot++)
    assert.equal(found(index, hashOf(slot)).includes(slot), slot % 2 === 1);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { IdTable } from "./id-table.ts";

/** Ids whose places in a table of 2,048 lie close together, also around its end. */
const id = fc
  .tuple(fc.constantFrom(0, 1, 2, 2046, 2047), fc.nat(3), fc.nat(3))
  .map(([hash, low, high]) =>
    Uint8Array.from({ length: 16 }, (_, i) => [0, high, hash >> 8, hash][i] ?? (i === 15 ? low : 0)),
  );

test("an id keeps its index until it is released, and is found by it, whatever comes and goes", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ id, releases: fc.boolean() }), { maxLength: 200 }), (steps) => {
      const table = new IdTable();
      const indices = new Map<string, number>();
      for (const { id, releases } of steps) {
        const key = Buffer.from(id).toString("hex");
        const known = indices.get(key);
        assert.equal(table.find(id), known);
        if (releases) {
          if (known !== undefined) {
            const life = table.life(known);
            table.release(known);
            assert.equal(table.life(known), life + 1);
          }
          indices.delete(key);
          continue;
        }
        const index = table.indexOf(id);
        assert.equal(index, known ?? index);
        indices.set(key, index);
        const written = new Uint8Array(18);
        table.write(index, written, 2);
        assert.deepEqual(written.subarray(2), id);
      }
      assert.equal(table.size, indices.size);
      assert.equal(new Set(indices.values()).size, indices.size);
    }),
  );
});

test("a table that grows keeps what it holds", () => {
  const table = new IdTable();
  const idOf = (i: number) =>
    Uint8Array.from({ length: 16 }, (_, at) => (at < 4 ? (i * 40_503) >> (8 * at) : i >> (at % 3)));
  for (let i = 0; i < 5_000; i++) assert.equal(table.indexOf(idOf(i)), i);
  for (let i = 0; i < 5_000; i++) assert.equal(table.find(idOf(i)), i);
});

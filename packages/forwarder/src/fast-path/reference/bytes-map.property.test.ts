import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BytesMap } from "./bytes-map.ts";

// Few distinct keys, so that deletions and collisions of probe runs happen often.
const key = fc.uint8Array({ minLength: 1, maxLength: 2, max: 7 });
const step = fc.oneof(
  fc.record({ kind: fc.constant("set" as const), key, value: fc.nat() }),
  fc.record({ kind: fc.constant("delete" as const), key }),
);

test("behaves like a Map keyed by the bytes' text, also when looked up inside a larger buffer", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const map = new BytesMap<number>();
      const model = new Map<string, { key: Uint8Array; value: number }>();
      for (const each of steps) {
        const text = String(each.key);
        if (each.kind === "set") {
          map.set(each.key, each.value);
          model.set(text, { key: each.key.slice(), value: each.value });
        } else {
          assert.equal(map.delete(each.key), model.delete(text));
        }
        assert.equal(map.size, model.size);
      }
      for (const { key: bytes, value } of model.values()) {
        const buffer = Uint8Array.from([9, ...bytes, 9]);
        assert.equal(map.get(buffer, 1, bytes.length), value);
      }
      const values = Array.from({ length: map.limit }, (_, i) => map.at(i)).filter(
        (each) => each !== undefined,
      );
      assert.deepEqual(values.sort(), [...model.values()].map((each) => each.value).sort());
    }),
    { numRuns: 300 },
  );
});

test("a key that its owner changes afterwards stays what it was", () => {
  const map = new BytesMap<string>();
  const bytes = Uint8Array.of(1, 2);
  map.set(bytes, "a");
  bytes[0] = 5;
  assert.equal(map.get(Uint8Array.of(1, 2)), "a");
  assert.equal(map.get(bytes), undefined);
});

test("a hundred thousand entries, then none", () => {
  const map = new BytesMap<number>();
  const bytes = new Uint8Array(12);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 100_000; i++) {
    view.setUint32(4, i);
    map.set(bytes, i);
  }
  for (let i = 0; i < 100_000; i++) {
    view.setUint32(4, i);
    if (map.get(bytes) !== i || !map.delete(bytes)) assert.fail(String(i));
  }
  assert.equal(map.size, 0);
});

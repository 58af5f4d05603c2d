import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Aged, AgeList } from "./age-list.ts";

interface Entry extends Aged<Entry> {
  readonly number: number;
}

test("a list in the order of age holds what a set in the order of insertion holds", () => {
  const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(9)), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (taken) => {
      const entries = Array.from(
        { length: 10 },
        (_, number): Entry => ({ number, older: undefined, younger: undefined }),
      );
      const list = new AgeList<Entry>();
      const model = new Set<Entry>();
      for (const [adds, which] of taken) {
        const entry = entries[which] as Entry;
        if (!adds) {
          list.delete(entry);
          model.delete(entry);
        } else if (!model.has(entry)) {
          list.add(entry);
          model.add(entry);
        }
        const expected = [...model].map(({ number }) => number);
        assert.deepEqual(
          [...list].map(({ number }) => number),
          expected,
        );
        assert.equal(list.oldest?.number, expected[0]);
        assert.equal(list.has(entry), model.has(entry));
      }
    }),
  );
});

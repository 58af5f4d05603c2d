// Seeds that failed once do not fail again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { replay } from "./apart.ts";
import { keptSeeds } from "./corpus.ts";

for (const { name, kept } of keptSeeds()) {
  test(`${name}: ${kept.note ?? kept.violation}`, async () => {
    assert.deepEqual(await replay(kept), []);
  });
}

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { ToEngine, ToView } from "../ports/link.ts";
import { pack, unpack } from "./packed.ts";

const PLAIN = { noNullPrototype: true } as const;
const bytes = fc.uint8Array({ maxLength: 12 });
const deltas = fc.record({ count: fc.nat(), bytes }, PLAIN);
const sequence = fc.nat();
const kind = <Kind extends string>(name: Kind) => fc.constant(name);
const message: fc.Arbitrary<ToEngine | ToView> = fc.oneof(
  fc.record({ kind: kind("local"), sequence, urgent: fc.boolean(), deltas }, PLAIN),
  fc.record({ kind: kind("joined"), batch: fc.nat(), covered: bytes, contradicted: bytes }, PLAIN),
  fc.record({ kind: kind("deliver"), batch: fc.nat(), sequence, deltas }, PLAIN),
  fc.record({ kind: kind("released"), token: fc.nat(), ok: fc.boolean() }, PLAIN),
  fc.record({ kind: kind("forget"), sequence, ids: bytes }, PLAIN),
  fc.record({ kind: kind("status"), token: fc.nat() }, PLAIN),
);

test("a message that has crossed says what it said", () => {
  fc.assert(
    fc.property(message, (said) => {
      assert.deepEqual(unpack(structuredClone(pack(said))), said);
    }),
    { numRuns: 1_000 },
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arbitraryDelta, arbitraryRecord, arbitrarySessionId } from "../arbitrary.ts";
import { ByteWriter } from "../bytes.ts";
import { emptyRecord, join } from "../join.ts";
import type { SessionRecord } from "../record.ts";
import { isSession } from "./check.ts";
import { decodeSession } from "./read.ts";
import { encodeSession, writeWithEnd } from "./write.ts";

const record = arbitraryRecord(arbitrarySessionId);
const RUNS = { numRuns: 400 };

function decoded(bytes: Uint8Array): SessionRecord {
  const decoding = decodeSession(bytes);
  assert.ok("delta" in decoding, JSON.stringify(decoding));
  return join(emptyRecord(decoding.delta.id), decoding.delta);
}

test("a record comes back as it was, and its bytes are canonical", () => {
  fc.assert(
    fc.property(record, (a) => {
      const bytes = encodeSession(a);
      const again = decoded(bytes);
      assert.deepEqual(again, a);
      assert.deepEqual(encodeSession(again), bytes);
    }),
    RUNS,
  );
});

test("the bytes of a record without an end and its end make those of the record with it", () => {
  fc.assert(
    fc.property(record, record, (a, { end }) => {
      if (end === undefined) return;
      const out = new ByteWriter();
      out.u8(7);
      writeWithEnd(out, encodeSession({ ...a, end: undefined }), end);
      assert.deepEqual(out.copy(1), encodeSession({ ...a, end }));
    }),
    RUNS,
  );
});

test("what is checked is what is decoded, whichever byte is another", () => {
  fc.assert(
    fc.property(record, fc.nat(300), fc.nat(255), fc.nat(3), (a, at, value, cut) => {
      const bytes = encodeSession(a).slice();
      assert.ok(isSession(bytes));
      bytes[at % bytes.length] = value;
      const edited = cut === 0 ? bytes.subarray(0, at % bytes.length) : bytes;
      assert.equal(isSession(edited), "delta" in decodeSession(edited));
    }),
    { numRuns: 5_000 },
  );
});

test("joining in any order gives the same bytes", () => {
  fc.assert(
    fc.property(
      arbitrarySessionId,
      fc.array(arbitraryDelta(fc.constant("")), { maxLength: 4 }),
      (id, deltas) => {
        const joined = (all: typeof deltas) =>
          all.reduce<SessionRecord>((r, d) => join(r, { ...d, id }), emptyRecord(id));
        assert.deepEqual(encodeSession(joined(deltas)), encodeSession(joined(deltas.toReversed())));
      },
    ),
    RUNS,
  );
});

test("any bytes decode to a delta or a reason, never to an exception", () => {
  fc.assert(
    fc.property(
      record,
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 3 }),
      fc.nat(400),
      (a, edits, cut) => {
        const bytes = encodeSession(a).slice();
        for (const [at, value] of edits) if (at < bytes.length) bytes[at] = value;
        const edited = bytes.subarray(0, bytes.length - (cut % (bytes.length + 1)));
        const decoding = decodeSession(edited);
        assert.equal(isSession(edited), "delta" in decoding);
        if ("delta" in decoding) encodeSession(join(emptyRecord(decoding.delta.id), decoding.delta));
      },
    ),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      assert.equal(isSession(bytes), "delta" in decodeSession(bytes));
    }),
    { numRuns: 2000 },
  );
});

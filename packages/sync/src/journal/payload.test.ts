import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter, encodeSession, foreignFactOf } from "@holdfast/model";
import { foreignRecord, furtherFact } from "../testing/foreign.ts";
import { decodePayload, type Entry, encodePayload, UNKNOWN_ENTRY_BYTES_MAX } from "./payload.ts";

const ID = "0f9c579a-8b91-5024-abc9-8790ec9ebd7c";
const known: Entry = { kind: "delta", bytes: encodeSession({ id: ID, activity: 3 }) };

test("entries and deltas of later versions are read past, and come back byte for byte", () => {
  const entries: Entry[] = [
    known,
    { kind: "unknown", type: 16, bytes: Uint8Array.of(1, 2, 3) },
    { kind: "unknown", type: 255, bytes: new Uint8Array(UNKNOWN_ENTRY_BYTES_MAX) },
    { kind: "delta", bytes: foreignRecord(ID, { protocol: 6, activity: 7 }) },
    { kind: "delta", bytes: furtherFact(ID, 1, new Uint8Array(300)) },
    { kind: "base", base: 2 },
  ];
  const payload = encodePayload(entries);
  assert.deepEqual(decodePayload(payload), entries);
});

test("what is not framed is malformed: kinds without a length, entries that are cut or too long, facts without a frame", () => {
  const with_ = (write: (out: ByteWriter) => void) => {
    const out = new ByteWriter();
    write(out);
    return decodePayload(out.copy());
  };
  for (const kind of [0, 5, 15])
    assert.equal(
      with_((out) => {
        out.u8(kind);
        out.varint(0);
      }),
      undefined,
    );
  assert.equal(
    with_((out) => {
      out.u8(16);
      out.varint(5);
      out.u8(1);
    }),
    undefined,
  );
  const tooLong: Entry = { kind: "unknown", type: 16, bytes: new Uint8Array(UNKNOWN_ENTRY_BYTES_MAX + 1) };
  assert.equal(decodePayload(encodePayload([tooLong])), undefined);
  for (const bytes of [
    new Uint8Array(16),
    // A kind of further facts that is none, and one without marks.
    Uint8Array.of(...new Uint8Array(16), 0, 0, 0),
    Uint8Array.of(...new Uint8Array(16), 0, 1),
    // Of SCTP, but not as SCTP's records are; of another protocol, and without a service.
    foreignRecord(ID, { protocol: 132, activity: 7 }),
    Uint8Array.of(...new Uint8Array(16), 1, 6, 0, 0, 1, 1),
    foreignRecord(ID, { protocol: 6 }).subarray(0, 24),
    furtherFact(ID, 1, new Uint8Array(17 * 1024)),
  ])
    assert.equal(decodePayload(encodePayload([{ kind: "delta", bytes }])), undefined);
});

/** Without the envelope. */
function progressOf(bytes: Uint8Array) {
  const fact = foreignFactOf(bytes);
  return fact && { isRecord: fact.isRecord, activity: fact.activity, end: fact.end };
}

test("of a foreign record activity and end are known, whatever its body", () => {
  assert.deepEqual(progressOf(foreignRecord(ID, { protocol: 6, activity: 9 })), {
    isRecord: true,
    activity: 9,
    end: undefined,
  });
  assert.deepEqual(progressOf(foreignRecord(ID, { protocol: 6, activity: 9, timedOutAt: 8 })), {
    isRecord: true,
    activity: 9,
    end: 8,
  });
  assert.deepEqual(progressOf(foreignRecord(ID, { protocol: 17, ended: true })), {
    isRecord: true,
    activity: 0,
    end: "final",
  });
  assert.deepEqual(progressOf(furtherFact(ID, 3)), { isRecord: false, activity: 0, end: undefined });
  assert.deepEqual(progressOf(furtherFact(ID, 3, new Uint8Array(0), true)), {
    isRecord: false,
    activity: 0,
    end: "final",
  });
});

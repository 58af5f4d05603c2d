import assert from "node:assert/strict";
import { test } from "node:test";
import { ByteWriter } from "../bytes.ts";
import { sessionIdToBytes } from "../identity.ts";
import { foreignFactOf, foreignSessionOf } from "./foreign.ts";
import { decodeSession } from "./read.ts";

const ID = "0f9c579a-8b91-5024-abc9-8790ec9ebd7c";

/** A record of TCP: service 203.0.113.1 port 443, client port 40,000. */
function record(createdAtMs: number, activity: number, body: readonly number[]): Uint8Array {
  const out = new ByteWriter();
  out.bytes(sessionIdToBytes(ID));
  out.u8(1 | 2 | 64);
  out.u8(6);
  out.bytes(Uint8Array.of(4, 203, 0, 113, 1, 1, 187));
  out.u16(40_000);
  out.varint(createdAtMs);
  out.varint(activity);
  out.bytes(Uint8Array.from(body));
  return out.copy();
}

test("of several records of one session the envelope is joined: made first, most active", () => {
  const facts = [record(2_000, 7, [1]), record(1_000, 3, [2, 3])].map((bytes) => foreignFactOf(bytes));
  assert.ok(facts.every((fact) => fact !== undefined));
  assert.deepEqual(foreignSessionOf(facts), {
    id: ID,
    protocol: 6,
    serviceId: "tcp/203.0.113.1:443",
    clientPort: 40_000,
    createdAtMs: 1_000,
    activity: 7,
    isEnded: false,
  });
  assert.deepEqual(foreignSessionOf(facts.toReversed()), foreignSessionOf(facts));
});

test("what is foreign is no SCTP record, and an SCTP record is not foreign", () => {
  const bytes = record(1, 1, []);
  assert.ok("malformed" in decodeSession(bytes));
  const sctp = bytes.slice();
  sctp[17] = 132;
  assert.equal(foreignFactOf(sctp), undefined);
});

test("a further fact alone says nothing of a session", () => {
  const out = new ByteWriter();
  out.bytes(sessionIdToBytes(ID));
  for (const byte of [0, 9, 0]) out.u8(byte);
  const fact = foreignFactOf(out.copy());
  assert.ok(fact !== undefined);
  assert.equal(foreignSessionOf([fact]), undefined);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyRecord, encodeSession, endOf, join, type SessionDelta } from "@holdfast/model";
import { compareReplica } from "./replica-state.ts";

const ID = "00000000-0000-5000-8000-000000000001";
const known: SessionDelta = {
  id: ID,
  protocol: 132,
  serviceId: "sctp/203.0.113.1:5000",
  clientPort: 9,
  clients: new Map([["10.0.0.1", false]]),
};
const record = join(emptyRecord(ID), known);
const later = join(record, { id: ID, clients: new Map([["10.0.0.1", true]]) });

test("a member holds what its record says, or more", () => {
  assert.equal(compareReplica(record, encodeSession(record)), "holds");
  assert.equal(compareReplica(record, encodeSession(later)), "holds");
  assert.equal(compareReplica(later, encodeSession(record)), "behind");
  assert.equal(compareReplica(record, new Uint8Array(0)), "behind");
  assert.equal(compareReplica(undefined, encodeSession(record)), "holds");
});

test("of an ended session the end is enough", () => {
  const end = endOf(later, "shutdown");
  const ended = join(later, { id: ID, end });
  assert.equal(compareReplica(ended, encodeSession({ id: ID, end })), "holds");
  assert.equal(compareReplica(ended, encodeSession(ended)), "holds");
  assert.equal(compareReplica(ended, encodeSession(later)), "behind");
  assert.equal(compareReplica(later, encodeSession(join(record, { id: ID, end }))), "behind");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeSession, sessionIdToBytes } from "@holdfast/model";
import { foreignRecord, furtherFact } from "../testing/foreign.ts";
import { CARRIED_FACT_COUNT_MAX, CarriedFacts } from "./carried-facts.ts";

const ID = "0f9c579a-8b91-5024-abc9-8790ec9ebd7c";
const id = sessionIdToBytes(ID);

test("facts are kept once each, byte for byte, until their id is forgotten", () => {
  const facts = new CarriedFacts();
  const record = foreignRecord(ID, { protocol: 6, activity: 1 });
  const further = furtherFact(ID, 9, Uint8Array.of(1));
  assert.deepEqual(facts.add(record), { isAll: true });
  assert.deepEqual(facts.add(record), { isAll: true });
  assert.deepEqual(facts.add(further), { isAll: false });
  assert.deepEqual(facts.of(id), [record, further]);
  assert.equal(facts.add(encodeSession({ id: ID, activity: 1 })), undefined, "that one can be read");
  facts.forget(id);
  assert.equal(facts.has(id), false);
  assert.deepEqual([...facts.all()], []);
});

test("an end for good is one, a time-out only while nothing went on after it, and facts about no record are over", () => {
  const facts = new CarriedFacts();
  facts.add(furtherFact(ID, 9));
  assert.equal(facts.isOver(id), true);
  facts.add(foreignRecord(ID, { protocol: 6, activity: 4 }));
  assert.equal(facts.isOver(id), false);
  facts.add(foreignRecord(ID, { protocol: 6, activity: 4, timedOutAt: 4 }));
  assert.equal(facts.isOver(id), true);
  facts.add(foreignRecord(ID, { protocol: 6, activity: 5 }));
  assert.equal(facts.isOver(id), false);
  facts.add(foreignRecord(ID, { protocol: 6, ended: true }));
  assert.equal(facts.isOver(id), true);
});

test("of too many facts of one id the shortest go, an end never before the others", () => {
  const facts = new CarriedFacts();
  facts.add(furtherFact(ID, 1, new Uint8Array(0), true));
  for (let i = 0; i < 2 * CARRIED_FACT_COUNT_MAX; i++)
    facts.add(furtherFact(ID, 1, new Uint8Array(i + 1).fill(i)));
  assert.equal(facts.of(id).length, CARRIED_FACT_COUNT_MAX);
  assert.equal(facts.isOver(id), true);
  assert.equal(facts.totals.carriedDropped, CARRIED_FACT_COUNT_MAX + 1);
});

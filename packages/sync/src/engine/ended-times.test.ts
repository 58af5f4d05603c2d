import assert from "node:assert/strict";
import { test } from "node:test";
import { sessionIdOf } from "@holdfast/model";
import { EndedTimes } from "./ended-times.ts";

const idOf = (i: number) => sessionIdOf("sctp/203.0.113.1:1", 5_000, i, "10.0.0.1", []);

test("the first note of an end stays, until it is deleted; the oldest is known to a second", () => {
  const ended = new EndedTimes();
  assert.equal(ended.oldestMs(), undefined);
  for (let i = 1; i <= 5_000; i++) ended.note(idOf(i), i * 10);
  ended.note(idOf(7), 60_000);
  assert.equal(ended.size, 5_000);
  assert.equal(ended.of(idOf(7)), 70);
  assert.equal(ended.of(idOf(4_999)), 49_990);
  assert.equal(ended.of(idOf(5_001)), undefined);
  assert.equal(ended.oldestMs(), 0);
  for (let i = 1; i <= 250; i++) ended.delete(idOf(i));
  ended.delete(idOf(1));
  assert.equal(ended.size, 4_750);
  assert.equal(ended.oldestMs(), 2_000);
  assert.equal(ended.of(idOf(7)), undefined);
  ended.note(idOf(7), 60_000);
  assert.equal(ended.of(idOf(7)), 60_000);
  for (let i = 1; i <= 5_000; i++) ended.delete(idOf(i));
  assert.equal(ended.size, 0);
  assert.equal(ended.oldestMs(), undefined);
});

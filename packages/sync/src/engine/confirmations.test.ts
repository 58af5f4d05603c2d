import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@holdfast/model/testing";
import type { JoinedBatch } from "../ports/link.ts";
import { Confirmations } from "./confirmations.ts";

function confirmations() {
  const clock = new ManualClock();
  const told: number[][] = [];
  const subject = new Confirmations({
    clock,
    link: {
      post: (message) => {
        assert.equal(message.kind, "joined");
        if (message.kind === "joined") told.push(message.batches.map(({ batch }) => batch));
      },
    },
  });
  return { clock, told, subject };
}

const joined = (batch: number, contradicted = 0): JoinedBatch => ({
  batch,
  covered: new Uint8Array(1),
  contradicted: new Uint8Array(16 * contradicted),
});

test("what is joined now and then is said at once", () => {
  const { clock, told, subject } = confirmations();
  for (const batch of [1, 2, 3]) {
    subject.add(joined(batch));
    assert.deepEqual(told.at(-1), [batch]);
    clock.advance(20);
  }
});

test("what follows soon goes together: after a while, with the next word, or when credit ends", () => {
  const { clock, told, subject } = confirmations();
  subject.add(joined(1));
  subject.add(joined(2));
  subject.add(joined(3));
  assert.deepEqual(told, [[1]]);
  clock.advance(10);
  assert.deepEqual(told, [[1], [2, 3]]);
  subject.add(joined(4));
  subject.flush();
  assert.deepEqual(told.at(-1), [4]);
  for (const batch of [5, 6, 7, 8]) subject.add(joined(batch));
  assert.deepEqual(told.at(-1), [5, 6, 7, 8]);
  clock.advance(100);
  assert.equal(told.length, 4, "nothing is said twice");
});

test("whoever is contradicted hears of it at once; an engine that is gone hears nothing", () => {
  const { clock, told, subject } = confirmations();
  subject.add(joined(1));
  subject.add(joined(2, 1));
  assert.deepEqual(told, [[1], [2]]);
  subject.add(joined(3));
  subject.clear();
  clock.advance(100);
  assert.deepEqual(told, [[1], [2]]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@holdfast/model/testing";
import type { PeerMessage } from "../ports/messages.ts";
import { Receipts } from "./receipts.ts";
import type { HeldJournal } from "./shelf.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

function receipts() {
  const clock = new ManualClock();
  const told: PeerMessage[] = [];
  const journal: HeldJournal = {
    actor: "00".repeat(16) as HeldJournal["actor"],
    member: 1,
    counter: 1,
    index: 0,
    segments: new Map(),
    base: 0,
    controls: [],
    saidBase: 0,
    heldSegment: 0,
    joinedSegment: 0,
  };
  let isIdle = true;
  const subject = new Receipts({
    clock,
    send: (_peer, message) => told.push(message) > 0,
    isHeard: () => true,
    isIdle: () => isIdle,
  });
  const busyView = (busy: boolean) => {
    isIdle = !busy;
  };
  return { clock, told, journal, subject, busyView };
}

test("of a writer that writes now and then, held and joined are said at once", async () => {
  const { clock, told, journal, subject } = receipts();
  for (const count of [2, 4]) {
    subject.held(journal);
    await turn();
    assert.equal(told.length, count - 1);
    subject.joined(journal);
    await turn();
    assert.equal(told.length, count);
    clock.advance(1_000);
  }
  assert.equal(told.length, 4);
  subject.stop();
});

test("of one that writes all the time joined goes with the next word, and after the last one in a while", async () => {
  const { clock, told, journal, subject } = receipts();
  for (let tick = 0; tick < 20; tick++) {
    subject.held(journal);
    await turn();
    subject.joined(journal);
    await turn();
    clock.advance(2);
    await turn();
  }
  // One each, and one more for the first, before which nothing had come.
  assert.equal(told.length, 21);
  clock.advance(10);
  await turn();
  assert.equal(told.length, 22);
  clock.advance(1_000);
  await turn();
  assert.equal(told.length, 22);
  subject.stop();
});

test("while the view is busy joined waits, whatever the writer does", async () => {
  const { clock, told, journal, subject, busyView } = receipts();
  subject.held(journal);
  await turn();
  busyView(true);
  subject.joined(journal);
  await turn();
  assert.equal(told.length, 1);
  clock.advance(10);
  await turn();
  assert.equal(told.length, 2);
  subject.stop();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Punt, PuntReason } from "../port.ts";
import { PUNT_QUEUE_COUNT_MAX, PuntQueue } from "./punt-queue.ts";

function punt(reason: PuntReason, timeMs: number, packet = new Uint8Array(1)): Punt {
  return { reason, packet, interfaceIndex: 1, timeMs, session: 0, checksumPartial: false, copy: false };
}

test("a reason has its own rate, which time gives back", () => {
  const queue = new PuntQueue({ wrongTag: 10 });
  const outcomes = Array.from({ length: 12 }, () => queue.push(punt("wrongTag", 1_000)));
  assert.deepEqual(outcomes.slice(9), [undefined, "punt-rate", "punt-rate"]);
  assert.equal(queue.push(punt("init", 1_000)), undefined);
  assert.equal(queue.push(punt("wrongTag", 1_099)), "punt-rate");
  assert.equal(queue.push(punt("wrongTag", 1_200)), undefined);
});

test("a full queue refuses, and goes on when there is room", () => {
  const queue = new PuntQueue({ init: 1e9 });
  const last = PUNT_QUEUE_COUNT_MAX;
  for (let i = 0; i < last; i++) assert.equal(queue.push(punt("init", i)), undefined);
  assert.equal(queue.push(punt("init", last)), "punt-queue");
  assert.equal(queue.shift()?.timeMs, 0);
  assert.equal(queue.push(punt("init", last)), undefined);
  for (let i = 1; i <= last; i++) assert.equal(queue.shift()?.timeMs, i);
  assert.equal(queue.shift(), undefined);
});

test("the packet is copied: its buffer belongs to a ring", () => {
  const queue = new PuntQueue();
  const packet = Uint8Array.of(1);
  queue.push(punt("init", 0, packet));
  packet[0] = 2;
  assert.deepEqual(queue.shift()?.packet, Uint8Array.of(1));
});

test("a stranger's flood of fragments or ICMP errors leaves an association's alone, and other strangers a part", () => {
  const queue = new PuntQueue();
  const from = (third: number) => Uint8Array.of(0x45, ...new Array<number>(11).fill(0), 100, 80, third, 1);
  const refusals = { mine: 0, others: 0, proven: 0 };
  for (let ms = 0; ms < 1_000; ms++) {
    for (const reason of ["fragment", "icmp"] as const) {
      for (let i = 0; i < 20; i++)
        if (queue.push(punt(reason, ms, from(1))) !== undefined) refusals.mine += 1;
      if (ms % 10 === 0 && queue.push(punt(reason, ms, from(2))) !== undefined) refusals.others += 1;
      if (queue.push({ ...punt(reason, ms, from(3)), proven: true }) !== undefined) refusals.proven += 1;
    }
    // The slow path has its turns.
    if (ms % 5 === 0) while (queue.shift() !== undefined);
  }
  assert.equal(refusals.proven, 0);
  assert.equal(refusals.others, 0);
  assert.ok(refusals.mine > 30_000);
  while (queue.shift() !== undefined);
  // A queue that nobody empties is not filled by them either.
  for (let i = 0; i < 5_000; i++) queue.push(punt("fragment", 2_000 + i, from(i & 255)));
  assert.equal(queue.push(punt("init", 9_000)), undefined);
  queue.push({ ...punt("icmp", 9_000), proven: true });
  assert.equal(queue.shift()?.reason, "icmp", "the association's goes first");
});

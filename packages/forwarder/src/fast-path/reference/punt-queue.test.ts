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

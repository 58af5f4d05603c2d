import assert from "node:assert/strict";
import { test } from "node:test";
import { NexthopNumbers } from "./nexthop-numbers.ts";

/** Frees what is unused, as the table does. */
function sweep(numbers: NexthopNumbers, nowMs: number): number[] {
  const freed = [...numbers.unused(nowMs)];
  for (const number of freed) numbers.forget(number);
  return freed;
}

test("a number that no flow has any more is free again after a while; one that a flow has never is", () => {
  const numbers = new NexthopNumbers(4, 1_000);
  const [a, b, c] = [numbers.take(0), numbers.take(0), numbers.take(0)] as number[];
  assert.deepEqual([a, b, c, numbers.take(0)], [1, 2, 3, undefined]);
  for (const number of [a, a, b, c]) numbers.hold(number as number);
  numbers.release(a as number, 100);
  numbers.release(b as number, 200);
  assert.deepEqual(sweep(numbers, 1_100), [], "not at once, and not while another flow has it");
  assert.deepEqual(sweep(numbers, 1_200), [b]);
  assert.equal(numbers.take(1_300), b);
  // Nobody ever used it.
  assert.deepEqual(sweep(numbers, 2_300), [b]);
  numbers.release(a as number, 2_300);
  numbers.hold(a as number);
  assert.deepEqual(sweep(numbers, 9_000), [], "a flow took it while it rested");
});

test("more neighbours than numbers, one after the other: a hundred thousand handshakes leave nothing behind", () => {
  const numbers = new NexthopNumbers(1_024, 10);
  for (let i = 0; i < 100_000; i++) {
    const number = numbers.take(i);
    assert.ok(number !== undefined, `handshake ${i}`);
    numbers.hold(number);
    numbers.release(number, i);
    sweep(numbers, i);
  }
  assert.ok(numbers.size <= 16);
});

test("what an earlier daemon left keeps its numbers, and its holes are used", () => {
  const numbers = new NexthopNumbers(5, 10);
  numbers.adopt(1, true, 0);
  numbers.adopt(2, false, 0);
  numbers.adopt(3, true, 0);
  numbers.hold(1);
  assert.deepEqual([numbers.take(0), numbers.take(0)], [2, 4]);
  assert.deepEqual(sweep(numbers, 100), [3, 2, 4]);
});

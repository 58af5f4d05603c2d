import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@holdfast/model";
import { LIMITS_DEFAULT } from "../limits.ts";
import { NatPorts } from "./allocator.ts";

const E = "192.0.2.20";
const ports = (memberNumber = 0, memberNumberCount = 8) =>
  new NatPorts({ memberNumber, memberNumberCount, random: seededRandom(3), limits: LIMITS_DEFAULT });

test("the client's port is kept when it is ours and free, else one of our slot is taken", () => {
  const natPorts = ports(0);
  assert.equal(natPorts.allocate(E, 7_000, 36_000, "a", 0), 36_000);
  const second = natPorts.allocate(E, 7_000, 36_000, "b", 0) as number;
  assert.notEqual(second, 36_000);
  assert.equal(second % 8, 0);
  assert.ok(second >= 1_024);
  // Another endpoint has a port space of its own; so has another port of the same address.
  assert.equal(natPorts.allocate("192.0.2.21", 7_000, 36_000, "c", 0), 36_000);
  assert.equal(natPorts.allocate(E, 7_001, 36_000, "d", 0), 36_000);
  const foreign = ports(1).allocate(E, 7_000, 36_000, "a", 0) as number;
  assert.equal(foreign % 8, 1);
});

test("every port of the slot is given out once, then none; others' endpoints are not concerned", () => {
  const natPorts = ports(5, 64);
  const given = new Set<number>();
  for (;;) {
    const port = natPorts.allocate(E, 7_000, 1, `${given.size}`, 0);
    if (port === undefined) break;
    assert.ok(!given.has(port));
    assert.equal(port & 63, 5);
    given.add(port);
  }
  assert.equal(given.size, (65_536 - 1_024) / 64);
  assert.notEqual(natPorts.allocate("192.0.2.21", 7_000, 1, "x", 0), undefined);
});

test("a port rests by how it came back: 30 s when the end was seen, 600 s when not", () => {
  const natPorts = ports();
  for (const [reason, restMs] of [
    ["verified", 30_000],
    ["unseen", 600_000],
    ["evicted", 75_000],
  ] as const) {
    let nowMs = 1_000_000;
    const port = natPorts.allocate(E, 7_000, 40_000, "a", nowMs) as number;
    assert.equal(port, 40_000);
    natPorts.release(E, 7_000, port, reason, nowMs);
    natPorts.release(E, 7_000, port, "evicted", nowMs);
    nowMs += restMs - 1;
    assert.notEqual(natPorts.allocate(E, 7_000, 40_000, "b", nowMs), 40_000, reason);
    nowMs += 1;
    assert.equal(natPorts.allocate(E, 7_000, 40_000, "c", nowMs), 40_000, reason);
    natPorts.release(E, 7_000, 40_000, "verified", nowMs);
    natPorts.allocate(E, 7_000, 8, "d", nowMs + 10_000_000);
  }
});

test("a port that is reserved while it rests does not wake, nor is it given out when ports are short", () => {
  const natPorts = ports(0, 64);
  natPorts.reserve(E, 7_000, 6_400);
  natPorts.release(E, 7_000, 6_400, "evicted", 0);
  natPorts.reserve(E, 7_000, 6_400);
  const given: (number | undefined)[] = [];
  for (let i = 0; i < 1_100; i++) given.push(natPorts.allocate(E, 7_000, 6_400, `${i}`, 1_000_000));
  assert.ok(!given.includes(6_400));
  assert.equal(given.at(-1), undefined);
  natPorts.release(E, 7_000, 6_400, "evicted", 1_000_000);
  assert.equal(natPorts.allocate(E, 7_000, 1, "x", 1_000_100), undefined);
  // Short of ports: an evicted embryo's comes back after a moment.
  assert.equal(natPorts.allocate(E, 7_000, 1, "x", 1_000_300), 6_400);
  assert.equal(natPorts.allocate(E, 7_000, 1, "x", 1_000_300), undefined);
});

test("others' ports are neither reserved nor released", () => {
  const natPorts = ports(0);
  natPorts.reserve(E, 7_000, 36_001);
  assert.equal(natPorts.isUsed(E, 7_000, 36_001), false);
  assert.deepEqual(natPorts.counts(), { used: 0, resting: 0 });
});

test("endpoints that are one server never have a port twice; those that may be, not while others are free", () => {
  const natPorts = ports(0, 1_024);
  const [second, third, fourth] = ["192.0.2.21", "192.0.2.22", "192.0.2.23"] as const;
  // How many this member has toward anybody, one after the other.
  const all = new Set<number>();
  for (;;) {
    const port = natPorts.allocate(fourth, 7_000, 36_001, `${all.size}`, 0);
    if (port === undefined) break;
    all.add(port);
  }
  assert.ok(all.size > 1);
  const first = natPorts.allocate(E, 7_000, 36_001, "a", 0) as number;
  const rather = natPorts.allocate(third, 7_000, 36_001, "b", 0, { never: [], rather: [E] });
  assert.notEqual(rather, first);
  const never = { never: [E], rather: [] } as const;
  const given = new Set([first]);
  for (let i = 1; i < all.size; i++) {
    const port = natPorts.allocate(second, 7_000, 36_001, `${i}`, 0, never);
    assert.ok(port !== undefined && !given.has(port));
    given.add(port);
  }
  assert.equal(natPorts.allocate(second, 7_000, 36_001, "z", 0, never), undefined);
  assert.notEqual(natPorts.allocate(second, 7_000, 36_001, "z", 0, { never: [], rather: [E] }), undefined);
});

test("ports of a slot that nobody had are forgotten when somebody has it: from then on its bearer keeps them", () => {
  let numbers: readonly number[] = [0];
  const natPorts = new NatPorts({
    memberNumber: 0,
    memberNumbers: () => numbers,
    memberNumberCount: 8,
    random: seededRandom(3),
    limits: LIMITS_DEFAULT,
  });
  // As one that joins: it knows of nobody else yet, and of sessions already.
  for (const port of [2_904, 2_905, 2_906, 2_907]) natPorts.reserve(E, 7_000, port);
  natPorts.release(E, 7_000, 2_906, "unseen", 0);
  natPorts.release(E, 7_000, 2_907, "evicted", 0);
  assert.deepEqual(natPorts.counts(), { used: 2, resting: 2 });
  numbers = [0, 1, 2];
  assert.deepEqual(natPorts.counts(), { used: 1, resting: 1 });
  assert.equal(natPorts.isUsed(E, 7_000, 2_904), true);
  assert.equal(natPorts.tracks(2_905), false);
  assert.equal(natPorts.restMs(2, 0), 0);
  assert.equal(natPorts.restMs(3, 0), LIMITS_DEFAULT.natPortRestEvictedMs);
  // What waited in its queue wakes nothing.
  const place = { endpoint: E, endpointPort: 7_000, natPort: 2_907 } as const;
  const holder = { serviceId: "s", addresses: ["10.0.0.1"] } as const;
  assert.equal(natPorts.take(place, holder, "10.0.0.1", LIMITS_DEFAULT.natPortRestUnseenMs + 1), true);
  assert.deepEqual(natPorts.counts(), { used: 2, resting: 0 });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { KubernetesService } from "../objects.ts";
import { addressText, canonical, parseRange } from "./address.ts";
import { Allocator, type Assignment, type Demand, type Wish } from "./allocator.ts";
import { overlapOf, type Pool, poolOf, type VipPoolObject } from "./pool.ts";

function pool(name: string, ranges: string[], spec: Partial<VipPoolObject["spec"]> = {}): Pool {
  const made = poolOf({ metadata: { name }, spec: { ranges, ...spec } });
  assert.ok(typeof made === "object", String(made));
  return made;
}
function allocator(...pools: Pool[]): Allocator {
  const made = new Allocator({ allowsAnyAddress: false });
  made.setPools(pools);
  return made;
}
const from = (name: string): Wish => ({ kind: "pool", pool: name });
const SERVICE: KubernetesService = { metadata: { name: "amf", namespace: "core", labels: { kind: "amf" } } };
function demand(wishes: Wish[], port = 38412, sharingKey = ""): Demand {
  return { service: SERVICE, wishes, ports: [`SCTP/${port}`], sharingKey };
}
const vipsOf = (result: Assignment | { reason: string }) =>
  "vips" in result ? result.vips.map(({ vip }) => vip) : result.reason;

test("ranges: prefixes with and without their ends, from-to, one; across byte borders", () => {
  const text = (range: string, avoids = true) => {
    const found = parseRange(range, avoids);
    return found && `${addressText(found.family, found.first)} ${addressText(found.family, found.last)}`;
  };
  assert.equal(text("123.123.123.1/24"), "123.123.123.1 123.123.123.254");
  assert.equal(text("123.123.123.1/24", false), "123.123.123.0 123.123.123.255");
  assert.equal(text("10.0.0.200-10.0.1.50"), "10.0.0.200 10.0.1.50");
  assert.equal(text("10.0.0.8/31"), "10.0.0.8 10.0.0.9");
  assert.equal(text("2001:DB8::/126"), "2001:db8::1 2001:db8::3");
  assert.equal(text("10.0.0.1"), "10.0.0.1 10.0.0.1");
  for (const wrong of ["", "10.0.0.9-10.0.0.1", "10.0.0.1-2001:db8::1", "10.0.0.0/33", "10.0.0/24", "x"])
    assert.equal(parseRange(wrong, true), undefined, wrong);
  assert.equal(canonical("2001:DB8:0:0::1"), "2001:db8::1");
});

test("one address from each of several pools, in the order asked for", () => {
  const pools = allocator(
    pool("a", ["203.0.113.0/30"]),
    pool("b", ["198.51.100.0/30"]),
    pool("c", ["192.0.2.7"]),
  );
  assert.deepEqual(vipsOf(pools.assign("x", demand([from("c"), from("a"), from("b")]))), [
    "192.0.2.7",
    "203.0.113.1",
    "198.51.100.1",
  ]);
});

test("a full pool refuses the one that comes too late, and nothing of it is kept", () => {
  const pools = allocator(pool("a", ["203.0.113.0/29"]), pool("b", ["198.51.100.1"]));
  assert.deepEqual(vipsOf(pools.assign("x", demand([from("a"), from("b")]))), [
    "203.0.113.1",
    "198.51.100.1",
  ]);
  assert.equal(vipsOf(pools.assign("y", demand([from("a"), from("b")]))), "PoolFull");
  assert.deepEqual(vipsOf(pools.assign("z", demand([from("a")]))), ["203.0.113.2"]);
  pools.release("x");
  assert.deepEqual(vipsOf(pools.assign("y", demand([from("a"), from("b")]))), [
    "203.0.113.1",
    "198.51.100.1",
  ]);
});

test("one that asks for more than there is keeps what it has", () => {
  const pools = allocator(pool("a", ["203.0.113.1"]), pool("b", ["198.51.100.1"]));
  pools.assign("other", demand([from("b")]));
  pools.assign("x", demand([from("a")]));
  assert.equal(vipsOf(pools.assign("x", demand([from("a"), from("b")]))), "PoolFull");
  assert.deepEqual(pools.assignmentOf("x")?.vips, [{ vip: "203.0.113.1", pool: "a" }]);
});

test("a VIP is shared by a common key and different ports only", () => {
  const pools = allocator(pool("a", ["203.0.113.1"]));
  assert.deepEqual(vipsOf(pools.assign("x", demand([from("a")], 1, "k"))), ["203.0.113.1"]);
  assert.equal(vipsOf(pools.assign("y", demand([from("a")], 1, "k"))), "PoolFull");
  assert.equal(vipsOf(pools.assign("y", demand([from("a")], 2, "other"))), "PoolFull");
  assert.equal(vipsOf(pools.assign("y", demand([from("a")], 2))), "PoolFull");
  assert.deepEqual(vipsOf(pools.assign("y", demand([from("a")], 2, "k"))), ["203.0.113.1"]);
  pools.release("x");
  assert.equal(vipsOf(pools.assign("z", demand([from("a")], 3))), "PoolFull");
});

test("what was written down stays: also outside its pool, also of a disabled one, also shared without a key", () => {
  const pools = allocator(pool("a", ["203.0.113.0/28"], { disabled: true }));
  const recorded = (port: number): Assignment => ({
    vips: [{ vip: "203.0.113.99", pool: "a" }],
    ports: [`SCTP/${port}`],
    sharingKey: "",
  });
  assert.equal(pools.reserve("x", recorded(1)), undefined);
  assert.equal(pools.reserve("y", recorded(2)), undefined);
  assert.equal(pools.reserve("z", recorded(1))?.reason, "AssignmentClash");
  assert.deepEqual(vipsOf(pools.assign("x", demand([from("a")], 1))), ["203.0.113.99"]);
  assert.deepEqual(vipsOf(pools.assign("y", demand([from("a")], 2))), ["203.0.113.99"]);
  assert.equal(vipsOf(pools.assign("z", demand([from("a")], 1))), "PoolDisabled");
});

test("who may use a pool", () => {
  const others = pool("a", ["203.0.113.1"], { allowed: { namespaces: ["elsewhere"] } });
  assert.equal(vipsOf(allocator(others).assign("x", demand([from("a")]))), "PoolNotAllowed");
  assert.equal(
    vipsOf(allocator(others).assign("x", demand([{ kind: "address", address: "203.0.113.1" }]))),
    "PoolNotAllowed",
  );
  const ours = pool("a", ["203.0.113.1"], { allowed: { namespaces: ["core"], services: { kind: "amf" } } });
  assert.deepEqual(vipsOf(allocator(ours).assign("x", demand([from("a")]))), ["203.0.113.1"]);
});

test("the default: the pool that says so, or the only one of its family", () => {
  const any: Wish = { kind: "default", family: undefined };
  const [four, six] = [pool("a", ["203.0.113.1"]), pool("b", ["2001:db8::1"])];
  assert.equal(vipsOf(allocator(four, six).assign("x", demand([any]))), "PoolUnknown");
  assert.deepEqual(vipsOf(allocator(four, six).assign("x", demand([{ kind: "default", family: 6 }]))), [
    "2001:db8::1",
  ]);
  const standard = pool("c", ["203.0.113.9"], { default: true });
  assert.deepEqual(vipsOf(allocator(four, six, standard).assign("x", demand([any]))), ["203.0.113.9"]);
});

test("a demanded address must be in a pool and free", () => {
  const pools = allocator(pool("a", ["203.0.113.0/28"]));
  const want = (address: string): Wish => ({ kind: "address", address });
  assert.equal(vipsOf(pools.assign("x", demand([want("192.0.2.1")]))), "AddressNotInPool");
  assert.deepEqual(vipsOf(pools.assign("x", demand([want("203.0.113.9")]))), ["203.0.113.9"]);
  assert.equal(vipsOf(pools.assign("y", demand([want("203.0.113.9")]))), "AddressInUse");
  pools.setForeign(new Map([["203.0.113.1", undefined]]));
  assert.deepEqual(vipsOf(pools.assign("y", demand([from("a")]))), ["203.0.113.2"]);
});

test("pools with kube-loxilb's names, without case; pools that overlap", () => {
  const named = pool("default-pool", ["203.0.113.1"], { aliases: ["defaultPool"] });
  assert.deepEqual(vipsOf(allocator(named).assign("x", demand([from("defaultPool")]))), ["203.0.113.1"]);
  assert.deepEqual(overlapOf([pool("a", ["10.0.0.0/24"]), pool("b", ["10.0.1.0/24", "10.0.0.9"])]), [
    "a",
    "b",
  ]);
  assert.equal(overlapOf([pool("a", ["10.0.0.0/24"]), pool("b", ["10.0.1.0/24"])]), undefined);
  assert.equal(typeof poolOf({ metadata: { name: "a" }, spec: { ranges: ["10.0.0.1", "::1"] } }), "string");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import fc from "fast-check";
import { pairAddresses } from "./pairing.ts";

const V: readonly Address[] = ["203.0.113.1", "198.51.100.1", "192.0.2.1"];

test("the arrival VIP gets the source, the others the rest in the client's order, again when they run out", () => {
  assert.deepEqual(pairAddresses(V, 0, "10.1.0.1", []), ["10.1.0.1", "10.1.0.1", "10.1.0.1"]);
  assert.deepEqual(pairAddresses(V, 1, "10.2.0.1", ["10.1.0.1", "10.3.0.1"]), [
    "10.1.0.1",
    "10.2.0.1",
    "10.3.0.1",
  ]);
  assert.deepEqual(pairAddresses(V, 0, "10.1.0.1", ["10.2.0.1"]), ["10.1.0.1", "10.2.0.1", "10.1.0.1"]);
  // More addresses than VIPs: the rest are reserves.
  assert.deepEqual(pairAddresses(V.slice(0, 2), 0, "10.1.0.1", ["10.2.0.1", "10.3.0.1"]), [
    "10.1.0.1",
    "10.2.0.1",
  ]);
});

test("the same network comes before the order", () => {
  assert.deepEqual(
    pairAddresses(["10.1.0.100", "10.2.0.100", "10.3.0.100"], 0, "10.1.0.10", ["10.3.0.10", "10.2.0.10"]),
    ["10.1.0.10", "10.2.0.10", "10.3.0.10"],
  );
});

test("families do not mix while there is a choice", () => {
  assert.deepEqual(
    pairAddresses(["203.0.113.1", "2001:db8::1"], 0, "10.1.0.1", ["10.2.0.1", "2001:db8:1::9"]),
    ["10.1.0.1", "2001:db8:1::9"],
  );
});

test("laws: complete, of the client's addresses only, bijective while there are enough", () => {
  const address = fc
    .tuple(fc.nat(255), fc.nat(255), fc.nat(255))
    .map(([a, b, c]): Address => `10.${a}.${b}.${c}`);
  fc.assert(
    fc.property(
      fc.uniqueArray(address, { minLength: 1, maxLength: 8 }),
      fc.uniqueArray(address, { minLength: 1, maxLength: 4 }),
      fc.nat(3),
      (clients, vips, arrival) => {
        const [source, ...listed] = clients as [Address, ...Address[]];
        const arrivalVip = arrival % vips.length;
        const pairing = pairAddresses(vips, arrivalVip, source, listed);
        assert.equal(pairing.length, vips.length);
        assert.equal(pairing[arrivalVip], source);
        for (const paired of pairing) assert.ok(clients.includes(paired));
        assert.equal(new Set(pairing).size, Math.min(vips.length, clients.length));
      },
    ),
  );
});

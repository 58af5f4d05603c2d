import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Address,
  addressBytes,
  addressFromBytes,
  canonicalAddress,
  isAddress,
  NO_ADDRESS,
  parseAddress,
} from "./address.ts";

test("addresses are canonical: RFC 5952", () => {
  const cases: [string, Address][] = [
    ["192.0.2.1", "192.0.2.1"],
    ["2001:DB8::0001", "2001:db8::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["0:0:0:1:0:0:0:0", "0:0:0:1::"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ];
  for (const [text, canonical] of cases) {
    assert.equal(parseAddress(text), canonical, text);
    assert.equal(canonicalAddress(text), canonical, text);
    assert.ok(isAddress(canonical), canonical);
    assert.equal(addressFromBytes(addressBytes(canonical)), canonical);
  }
});

test("what is not an address, or names a family that its packets do not have, is refused", () => {
  for (const text of [
    "",
    "1.2.3",
    "1.2.3.4.5",
    "01.2.3.4",
    "256.1.1.1",
    "1.2.3.-4",
    "fe80::1%eth0",
    "::ffff:192.0.2.1",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::",
    "1.2.3.4::",
    " 1.2.3.4",
  ]) {
    assert.throws(() => parseAddress(text), { code: "ADDRESS_INVALID" }, text);
    assert.equal(canonicalAddress(text), undefined, text);
    assert.equal(isAddress(text), false, text);
  }
  for (const value of ["2001:DB8::1", "1:0::1", NO_ADDRESS, undefined, 7, ["192.0.2.1"]])
    assert.equal(isAddress(value), false, String(value));
});

test("the type refuses text that has not the shape of an address", () => {
  // The compiler checks these; what `never` is assigned to does not compile.
  type Refused<Text extends string> = Text extends Address ? never : true;
  const refused: [Refused<string>, Refused<"">, Refused<"10.0.0">, Refused<"m1">] = [true, true, true, true];
  const literals: readonly Address[] = ["192.0.2.1", "2001:db8::1"];
  assert.equal(refused.length, 4);
  assert.ok(literals.every(isAddress));
});

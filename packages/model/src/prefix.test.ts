import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "./address.ts";
import { canonicalPrefix, parsePrefix, prefixContains } from "./prefix.ts";

const cases: [prefix: string, address: Address, inside: boolean][] = [
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "11.0.0.1", false],
  ["203.0.113.64/26", "203.0.113.127", true],
  ["203.0.113.64/26", "203.0.113.128", false],
  ["203.0.113.64/26", "2001:db8::1", false],
  ["0.0.0.0/0", "192.0.2.1", true],
  ["203.0.113.1/32", "203.0.113.1", true],
  ["203.0.113.1/32", "203.0.113.0", false],
  ["2001:db8::/33", "2001:db8:7fff::1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
];
for (const [prefix, address, inside] of cases) {
  test(`${address} is ${inside ? "" : "not "}inside ${prefix}`, () => {
    const parsed = parsePrefix(prefix);
    assert.ok(parsed !== undefined);
    assert.equal(prefixContains(parsed, address), inside);
  });
}

test("what is no prefix is refused", () => {
  for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "x/8", "2001:db8::/129", "10.0.0.0/-1"])
    assert.equal(parsePrefix(text), undefined, text);
});

test("a prefix has one text", () => {
  for (const [text, canonical] of [
    ["198.51.100.77/24", "198.51.100.0/24"],
    ["198.51.100.77/32", "198.51.100.77/32"],
    ["255.255.255.255/1", "128.0.0.0/1"],
    ["10.0.0.1/0", "0.0.0.0/0"],
    ["2001:DB8:0:1:ffff::1/49", "2001:db8::/49"],
    ["2001:db8::1/128", "2001:db8::1/128"],
    ["::1/0", "::/0"],
    ["198.51.100.0", undefined],
    ["198.51.100.0/33", undefined],
  ] as const)
    assert.equal(canonicalPrefix(text), canonical, text);
});

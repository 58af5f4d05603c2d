import assert from "node:assert/strict";
import { test } from "node:test";
import { parsePrefix, prefixContains } from "./prefix.ts";

const cases: [prefix: string, address: string, inside: boolean][] = [
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

import assert from "node:assert/strict";
import { test } from "node:test";
import { ServiceSpecSchema } from "./schema/service.ts";
import { validate } from "./validation.ts";

const findingsOf = (endpoints: string) =>
  validate(
    ServiceSpecSchema,
    JSON.parse(`{ "vips": ["203.0.113.4"], "port": 38412, "endpoints": ${endpoints} }`),
  ).findings;

test("a set of fields where a list belongs is refused, not taken for an empty list", () => {
  for (const endpoints of [
    '{ "address": "10.0.0.5", "port": 38412 }',
    "{}",
    '{ "length": 4294967295 }',
    '{ "__proto__": { "a": 1 } }',
    '{ "0": { "address": "10.0.0.5", "port": 38412 }, "length": 1 }',
  ]) {
    const [finding, ...others] = findingsOf(endpoints);
    assert.deepEqual(finding?.path, ["endpoints"], endpoints);
    assert.match(finding.reason, /^must be a list.*, not a set of fields$/);
    assert.deepEqual(others, []);
  }
  assert.deepEqual(findingsOf('[{ "address": "10.0.0.5", "port": 38412 }]'), []);
});

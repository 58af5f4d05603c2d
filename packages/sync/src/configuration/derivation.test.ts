import assert from "node:assert/strict";
import { test } from "node:test";
import { derive } from "./derivation.ts";
import type { Entry } from "./entries.ts";
import { service } from "./testing/cluster.ts";

test("a key that names no address means nothing, whoever wrote it", () => {
  const { endpoints: _, ...value } = service("203.0.113.1");
  const said = (value: unknown): Entry => ({ revision: 1, value });
  const endpoint = said({ weight: 1, state: "active" });
  const { services, pins } = derive(
    new Map([
      [`service/${value.id}`, said(value)],
      [`endpoint/${value.id}|10.0.0.1|9`, endpoint],
      [`endpoint/${value.id}|elsewhere|9`, endpoint],
      [`endpoint/${value.id}|10.0.0.01|9`, endpoint],
      [`endpoint/${value.id}|::ffff:10.0.0.1|9`, endpoint],
      ["pin/203.0.113.1", said("m1")],
      ["pin/203.0.113", said("m1")],
    ]),
  );
  assert.deepEqual(
    services[0]?.endpoints.map(({ address }) => address),
    ["10.0.0.1"],
  );
  assert.deepEqual([...pins], [["203.0.113.1", "m1"]]);
});

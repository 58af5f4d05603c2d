import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceOf } from "../services/specification.ts";
import { foldKeys } from "./fold.ts";
import { serviceAfter } from "./post.ts";
import { parseRule } from "./rule.ts";
import { ruleView } from "./rule-view.ts";

const NO_CHECK = () => undefined;
const rule = (allowedSources: unknown) =>
  parseRule(
    foldKeys({
      serviceArguments: { externalIP: "203.0.113.1", port: 5000, protocol: "sctp", mode: 2 },
      endpoints: [{ endpointIP: "192.0.2.1", targetPort: 5000, weight: 1 }],
      ...(allowedSources !== undefined && { allowedSources }),
    }),
  );
const prefixes = (...texts: string[]) => texts.map((prefix) => ({ prefix }));

test("a rule's sources become the service's, an empty list takes them back, no list leaves them", () => {
  const made = serviceAfter(rule(prefixes("10.1.2.3/8", "198.51.100.0/24")), undefined, NO_CHECK);
  assert.ok(made);
  const service = serviceOf(made);
  assert.deepEqual(service.allowedSources, ["10.0.0.0/8", "198.51.100.0/24"]);
  assert.deepEqual(
    ruleView(service, {}, () => ({ up: true, packets: 0, bytes: 0 }))["allowedSources"],
    prefixes("10.0.0.0/8", "198.51.100.0/24"),
  );
  const before = { service, isKnown: true };
  const after = (sources: unknown) => serviceAfter(rule(sources), before, NO_CHECK)?.allowedSources;
  assert.deepEqual(after(undefined), service.allowedSources);
  assert.deepEqual(after(null), service.allowedSources);
  assert.deepEqual(after([]), []);
  assert.deepEqual(after(prefixes("10.0.0.0/8", "0.0.0.0/0")), [], "everybody is no list");
  assert.throws(() => rule(prefixes("10.0.0.0")), /allowedSources/);
});

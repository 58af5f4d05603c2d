import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceView } from "@holdfast/api";
import { wayFindings } from "./ways.ts";

test("an endpoint that a VIP may not reach is a warning that names both and what to look at", () => {
  const endpoints = [
    { address: "10.0.0.5", port: 38_412, unproven: [{ vip: "203.0.113.1", reason: "no answer" }] },
    { address: "10.0.0.6", port: 38_412 },
  ] as unknown as ServiceView["endpoints"];
  const findings = wayFindings({ id: "sctp/203.0.113.1:38412", endpoints });
  assert.equal(findings.length, 1);
  const [found] = findings;
  assert.equal(found?.level, "warn");
  assert.equal(found?.detail, "The way of 203.0.113.1 to endpoint 10.0.0.5:38412 is unproven: no answer.");
  assert.match(found?.remedy ?? "", /rp_filter/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { isSearch, sessionsAt } from "./places.ts";

test("a search's address holds what is searched, whatever characters it has", () => {
  const at = sessionsAt({ service: "tcp/[2001:db8::1]:80", endpoint: "[2001:db8::2]:80" });
  const asked = new URLSearchParams(at.split("?")[1]);
  assert.equal(asked.get("service"), "tcp/[2001:db8::1]:80");
  assert.equal(asked.get("endpoint"), "[2001:db8::2]:80");
  assert.equal(sessionsAt({}), "#/sessions");
});

test("a session's own address is no search", () => {
  assert.ok(isSearch(sessionsAt({ vip: "203.0.113.1" })) && isSearch("#/sessions"));
  assert.ok(!isSearch("#/sessions/0f9c579a-8b91-5024-abc9-8790ec9ebd7c") && !isSearch("#/"));
});

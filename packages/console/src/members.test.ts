import assert from "node:assert/strict";
import { test } from "node:test";
import { MemberChoice } from "./members.ts";

test("the page stays with a member that answers, and finds the others when it does not", () => {
  const choice = new MemberChoice("https://m1");
  assert.equal(choice.failed("https://m1"), true, "nobody else is known");
  choice.learn(["https://m2", "https://m1", "https://m3"]);
  assert.equal(choice.current, "https://m1");
  assert.equal(choice.failed("https://m1"), false);
  assert.equal(choice.current, "https://m2");
  choice.learn(["https://m3"]);
  assert.equal(choice.current, "https://m2", "learning moves nothing");
  assert.equal(choice.failed("https://m1"), false, "an old failure is not the new member's");
  assert.equal(choice.current, "https://m2");
  choice.failed("https://m2");
  assert.equal(choice.failed("https://m3"), true);
  assert.equal(choice.current, "https://m1");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@holdfast/model";
import { Readiness } from "./readiness.ts";

test("who listens hears at once when the member is ready, and when it is not any more; of advice nothing", () => {
  const readiness = new Readiness(silentLogger);
  const heard: boolean[] = [];
  readiness.onChange(() => heard.push(readiness.ready));
  readiness.set("membership", false, "not on the list yet");
  readiness.set("membership", true, "on the list");
  readiness.set("replication", true, "caught up");
  readiness.advise("store", false, "cannot be written");
  assert.deepEqual(heard, [true]);
  readiness.set("membership", false, "removed");
  readiness.set("replication", false, "behind");
  assert.deepEqual(heard, [true, false]);
  assert.match(readiness.missing ?? "", /^membership: removed$/);
});

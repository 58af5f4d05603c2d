import assert from "node:assert/strict";
import { test } from "node:test";
import type { SessionRecord } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import type { EventFacts } from "./bus.ts";
import { SESSION_EVENT_COUNT_MAX, sessionEndEvents } from "./session-ends.ts";

const ended = (id: number, cause: string) =>
  ({ id: `s${id}`, serviceId: "amf", end: { cause } }) as unknown as SessionRecord;

test("ends are told one by one until there are too many within a second; the rest is counted", () => {
  const clock = new ManualClock();
  const told: EventFacts[] = [];
  const tell = sessionEndEvents(clock, (facts) => void told.push(facts));
  for (let i = 0; i < SESSION_EVENT_COUNT_MAX + 5; i++) tell(ended(i, i % 2 === 0 ? "idle" : "shutdown"));
  assert.equal(told.length, SESSION_EVENT_COUNT_MAX);
  assert.deepEqual(told[0], {
    ...{ type: "session", message: "Session s0 ended: idle.", session: "s0", service: "amf", cause: "idle" },
  });
  clock.advance(1_000);
  assert.equal(told.length, SESSION_EVENT_COUNT_MAX + 1);
  assert.equal(told.at(-1)?.message, "5 more sessions ended within a second: idle 3, shutdown 2.");
  tell(ended(99, "operator"));
  assert.equal(told.at(-1)?.session, "s99");
  clock.advance(5_000);
  assert.equal(told.length, SESSION_EVENT_COUNT_MAX + 2);
});

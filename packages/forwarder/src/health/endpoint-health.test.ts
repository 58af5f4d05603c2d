import assert from "node:assert/strict";
import { test } from "node:test";
import { EndpointHealth } from "./endpoint-health.ts";

const E = { address: "192.0.2.1", port: 7_000 } as const;

test("the own verdict decides where there is one, the majority of the others where there is none", () => {
  const health = new EndpointHealth();
  assert.ok(health.isUp(E));
  health.setOther("b", E, "down", 0);
  assert.equal(health.isUp(E), false);
  health.setOther("c", E, "up", 0);
  assert.ok(health.isUp(E));
  health.setOther("d", E, "down", 0);
  assert.equal(health.isUp(E), false);
  health.setOwn(E, "up", "answers", 0);
  assert.ok(health.isUp(E));
  assert.equal(health.downSinceMs(E, 9), undefined);
  health.setOwn(E, "down", "silent", 5);
  assert.equal(health.isUp(E), false);
  assert.equal(health.downSinceMs(E, 9), undefined, "c reaches it");
  health.setOther("c", E, "down", 6);
  assert.equal(health.downSinceMs(E, 9), 6);
  health.setOther("d", E, undefined, 7);
  assert.equal(health.downSinceMs(E, 9), 6);
  health.setOther("b", E, "up", 8);
  assert.equal(health.downSinceMs(E, 9), undefined);
  health.retain([]);
  assert.ok(health.isUp(E));
  assert.equal(health.verdictOf(E), undefined);
});

test("a member that is cut off from endpoint and members alike calls nothing dead", () => {
  const health = new EndpointHealth(() => 2);
  health.setOwn(E, "down", "silent", 0);
  assert.equal(health.isUp(E), false);
  assert.equal(health.downSinceMs(E, 9), undefined);
  health.setOther("b", E, "down", 5);
  assert.equal(health.downSinceMs(E, 9), 5);
});

test("a majority is one of the members as they are when somebody looks", () => {
  let quorum = 2;
  const health = new EndpointHealth(() => quorum);
  health.setOwn(E, "down", "silent", 0);
  health.setOther("b", E, "down", 5);
  assert.equal(health.downSinceMs(E, 6), 5);
  quorum = 3;
  assert.equal(health.downSinceMs(E, 7), undefined, "two of five");
  quorum = 2;
  assert.equal(health.downSinceMs(E, 8), 8, "two of three, from now on");
  assert.equal(health.downSinceMs(E, 9), 8);
});

test("listeners hear of changes of the own verdict, once each", () => {
  const health = new EndpointHealth();
  const heard: string[] = [];
  const stop = health.onVerdict(({ verdict, reason }) => heard.push(`${verdict} ${reason}`));
  health.setOwn(E, "up", "a", 0);
  health.setOwn(E, "up", "b", 1);
  health.setOther("b", E, "down", 2);
  health.setOwn(E, "down", "c", 3);
  stop();
  health.setOwn(E, "up", "d", 4);
  assert.deepEqual(heard, ["up a", "down c"]);
});

test("passive signs are only suspicions", () => {
  const health = new EndpointHealth();
  const suspected: unknown[] = [];
  health.onSuspicion((place) => suspected.push(place));
  for (let i = 0; i < 100; i++) {
    health.refused(E);
    health.unanswered(E);
  }
  assert.equal(suspected.length, 200);
  assert.ok(health.isUp(E));
});

test("the reason is what the latest probe found, and no change for listeners", () => {
  const health = new EndpointHealth();
  const heard: string[] = [];
  health.onVerdict(({ reason }) => heard.push(reason));
  health.setOwn(E, "down", "3 http probes refused", 0, false, true);
  health.setOwn(E, "down", "4 http probes answered with status 503, not 100-399", 1_000, false, true);
  assert.equal(health.verdictOf(E)?.reason, "4 http probes answered with status 503, not 100-399");
  assert.deepEqual(heard, ["3 http probes refused"]);
});

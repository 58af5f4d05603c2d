import assert from "node:assert/strict";
import { test } from "node:test";
import { SaidReadiness } from "./said-readiness.ts";

const network = (routerHeard?: boolean) => ({
  network: "path-a",
  carrier: true,
  ...(routerHeard !== undefined && { routerHeard }),
});

test("readiness is said when it changes, and not again", () => {
  const said = new SaidReadiness();
  const readiness = { ready: true, caughtUp: false, networks: [network()] };
  assert.deepEqual(said.next(readiness), { ...readiness, networks: [network(false)] });
  assert.equal(said.next(readiness), undefined);
  assert.notEqual(said.next({ ...readiness, caughtUp: true }), undefined);
  assert.notEqual(said.next(readiness), undefined, "and when it changes back");
  assert.notEqual(said.next({ ready: true }), undefined, "a part of it says nothing of the rest");
  assert.notEqual(said.next({ ready: false }), undefined);
  assert.equal(said.next({ ready: false }), undefined);
});

test("that a router is heard is said for as long as it is", () => {
  const said = new SaidReadiness();
  const heard = { ready: true, networks: [network(false), network(true)] };
  for (let i = 0; i < 3; i++) assert.notEqual(said.next(heard), undefined);
  const silent = { ready: true, networks: [network(false), network(false)] };
  assert.notEqual(said.next(silent), undefined);
  assert.equal(said.next(silent), undefined);
});

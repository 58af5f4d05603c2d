import assert from "node:assert/strict";
import { test } from "node:test";
import { NetworkFacts } from "./facts.ts";
import type { WorkingInterface } from "./interfaces.ts";

const on = (name: string, network: string): WorkingInterface => ({
  name,
  network,
  roles: ["path"],
  vipPrefixes: undefined,
});

test("a network has carrier while one of its interfaces does, and none when the last has gone", () => {
  const networks = new NetworkFacts();
  const up = new Set(["eth0", "eth1"]);
  const facts = (...interfaces: WorkingInterface[]) =>
    networks
      .facts(interfaces, (name) => ({ carrier: up.has(name), routerHeard: name === "eth1" }))
      .map(({ network, carrier, routerHeard }) => [network, carrier, routerHeard]);
  assert.deepEqual(facts(on("eth0", "a"), on("eth1", "a"), on("eth2", "b")), [
    ["a", true, true],
    ["b", false, false],
  ]);
  up.delete("eth1");
  assert.deepEqual(facts(on("eth0", "a"), on("eth1", "a")), [
    ["a", true, true],
    ["b", false, false],
  ]);
  assert.deepEqual(facts(), [
    ["a", false, false],
    ["b", false, false],
  ]);
});

test("what is remembered has a bound", () => {
  const networks = new NetworkFacts();
  for (let i = 0; i < 1_000; i++)
    networks.facts([on(`cali${i}`, `cali${i}`)], () => ({ carrier: true, routerHeard: false }));
  const facts = networks.facts([on("eth0", "a")], () => ({ carrier: true, routerHeard: false }));
  assert.ok(facts.length <= 257);
  assert.ok(facts.some(({ network, carrier }) => network === "a" && carrier));
});

// Gateways through what happens to controllers and API servers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { GATEWAY_GROUP, GATEWAYS, TestApiServer } from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { Gateways, N2 } from "./gateway-scene.ts";
import { NAMESPACE, openWorld, openWorldOn, RESOURCES } from "./world.ts";

const WHERE = { namespace: NAMESPACE, name: "core" };

test("another leader finds a Gateway as it is: nothing moves, nothing is written at the members", async () => {
  let world = await openWorld();
  try {
    await world.cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
    let gateways = new Gateways(world);
    await gateways.backend("amf", ["10.0.0.5"]);
    await gateways.open([N2]);
    await gateways.route("n2", [{ name: "amf" }]);
    await gateways.serves("203.0.113.1:38412 -> 10.0.0.5:38412");
    await gateways.attached("n2", 1);
    world = await world.restart();
    gateways = new Gateways(world);
    // Who comes later gets another VIP, though the pool's first would sort first.
    await world.cluster.service("a-new-one");
    assert.equal(await world.cluster.address("a-new-one"), "203.0.113.2");
    const { creates, replaces, removals } = world.controller.members.counters;
    assert.deepEqual({ creates, replaces, removals }, { creates: 1, replaces: 0, removals: 0 });
    assert.equal(world.controller.counts.gateways, 1);
  } finally {
    await world.close();
  }
});

test("a Gateway that went without us is taken away from the members", async () => {
  const world = await openWorld();
  try {
    await world.cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
    const gateways = new Gateways(world);
    await gateways.open([N2]);
    await gateways.serves("203.0.113.1:38412 -> ");
    await until("its marks", async () => (await gateways.gateway()).metadata.finalizers?.length === 1);
    // Somebody takes the finalizer away, and it goes at once: no look of ours falls in between.
    const { store } = world.server;
    const { metadata } = store.get(GATEWAYS, NAMESPACE, "core");
    store.patch(GATEWAYS, NAMESPACE, "core", { metadata: { ...metadata, finalizers: null } }, false);
    store.remove(GATEWAYS, NAMESPACE, "core");
    await gateways.serves();
    await assert.rejects(world.cluster.client.get(GATEWAYS, WHERE));
  } finally {
    await world.close();
  }
});

test("without the Gateway API Services are served", async () => {
  const server = await TestApiServer.start(RESOURCES.filter(({ group }) => group !== GATEWAY_GROUP));
  const connection = { url: server.url, namespace: NAMESPACE };
  const world = await openWorldOn({ admin: connection, controller: connection }, {}, () => server.close());
  try {
    await world.cluster.pool("net-a", ["203.0.113.0/29"], { default: true });
    await world.cluster.service("amf");
    assert.equal(await world.cluster.address("amf"), "203.0.113.1");
    assert.deepEqual(world.log, []);
  } finally {
    await world.close();
  }
});

// The part of the contract about endpoints that are up, and that a VIP may not reach.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { pod, type World } from "./world.ts";

const REASON = "5 INITs from 203.0.113.1 brought no answer back to a member";

/** What every member says of 10.0.0.5 from now on. */
function say({ members }: World, isUnproven: boolean): void {
  for (const { node } of members)
    node.sources.endpointHealth = (_service, endpoint) =>
      isUnproven && endpoint === "10.0.0.5:38412"
        ? { health: "up", unproven: [{ vip: "203.0.113.1", reason: REASON }] }
        : { health: "up" };
}

export function describeWays(worldOf: () => World): void {
  test("an endpoint that is unproven stays, and the Service says why until it is proven", async () => {
    const { cluster } = worldOf();
    say(worldOf(), true);
    await cluster.service("amf");
    await cluster.slice("amf", [pod("10.0.0.5"), pod("10.0.0.6")]);
    await cluster.event("amf", "EndpointUnproven", /10\.0\.0\.5:38412 .* from 203\.0\.113\.1: 5 INITs/);
    const condition = async () =>
      (await cluster.get("amf")).status?.conditions?.find(
        ({ type }) => type === "holdfast.io/EndpointsProven",
      );
    const said = await until("the condition", condition);
    assert.deepEqual([said.status, said.reason], ["False", "Unproven"]);
    assert.match(said.message, /may not be reached from 203\.0\.113\.1/);
    assert.deepEqual(await worldOf().served(), ["203.0.113.1:38412 -> 10.0.0.5:38412, 10.0.0.6:38412"]);
    assert.equal(await cluster.address("amf"), "203.0.113.1");
    say(worldOf(), false);
    await until("the condition to be gone", async () => (await condition()) === undefined);
    const events = (await cluster.events("amf")).filter((event) => event.startsWith("EndpointUnproven"));
    assert.equal(events.length, 1, events.join("\n"));
  });
}

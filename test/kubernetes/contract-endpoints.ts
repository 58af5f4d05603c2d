// The part of the contract about endpoints: which states of pods are used how, and pods of one address.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { pod, type World } from "./world.ts";

export function describeEndpoints(worldOf: () => World): void {
  const served = (...wanted: readonly string[]) =>
    until(`the members serve ${wanted.join(" | ")}`, async () => {
      assert.deepEqual(await worldOf().served(), wanted);
      return true;
    });

  test("endpoints: ready ones serve, those that are not ready or go drain, absent ones are gone", async () => {
    const { cluster } = worldOf();
    await cluster.service("amf");
    await cluster.slice("amf", [pod("10.0.0.5"), pod("10.0.0.6"), pod("10.0.0.7")]);
    await served("203.0.113.1:38412 -> 10.0.0.5:38412, 10.0.0.6:38412, 10.0.0.7:38412");
    await cluster.endpoints("amf", [
      pod("10.0.0.5"),
      pod("10.0.0.6", "b", { ready: false, serving: false }),
      pod("10.0.0.7", "c", { ready: false, terminating: true }),
    ]);
    await served("203.0.113.1:38412 -> 10.0.0.5:38412, 10.0.0.6:38412 drains, 10.0.0.7:38412 drains");
    await cluster.endpoints("amf", [
      pod("10.0.0.5"),
      pod("10.0.0.7", "c", { ready: false, serving: false, terminating: true }),
    ]);
    await served("203.0.113.1:38412 -> 10.0.0.5:38412");
  });

  test("when nobody is ready, those that go still take associations", async () => {
    const { cluster } = worldOf();
    await cluster.service("amf");
    await cluster.slice("amf", [pod("10.0.0.5", "a", { ready: false, terminating: true })]);
    await served("203.0.113.1:38412 -> 10.0.0.5:38412");
  });

  test("two pods of one address and port are one endpoint, that of the one that is ready", async () => {
    const { cluster } = worldOf();
    await cluster.service("amf");
    await cluster.slice("amf", [pod("10.0.0.5"), pod("10.0.0.6", "old")]);
    await served("203.0.113.1:38412 -> 10.0.0.5:38412, 10.0.0.6:38412");
    // Of a node's network: one goes, and the next is there already.
    await cluster.endpoints("amf", [
      pod("10.0.0.6", "old", { ready: false, serving: true, terminating: true }),
      pod("10.0.0.6", "new"),
      pod("10.0.0.7"),
    ]);
    await served("203.0.113.1:38412 -> 10.0.0.6:38412, 10.0.0.7:38412");
    await cluster.endpoints("amf", [pod("10.0.0.6", "new", { ready: false }), pod("10.0.0.7")]);
    await served("203.0.113.1:38412 -> 10.0.0.6:38412 drains, 10.0.0.7:38412");
  });

  test("of two pods with one address each has what is its own", async () => {
    const { cluster } = worldOf();
    await cluster.pool("six", ["2001:db8::/125"], { default: true });
    await cluster.service("amf", {}, { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "RequireDualStack" });
    await cluster.slice("amf", [pod("10.0.0.5", "p"), pod("10.0.0.5", "q")]);
    await cluster.slice("amf", [pod("fd00::5", "p"), pod("fd00::6", "q")], { addressType: "IPv6" });
    await served("203.0.113.1+2001:db8::1:38412 -> 10.0.0.5+fd00::5:38412, fd00::6:38412");
  });
}

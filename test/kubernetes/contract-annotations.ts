// The part of the contract about what annotations ask of the members, and that it is asked once.
import assert from "node:assert/strict";
import { test } from "node:test";
import { VIP_POOLS, type VipPoolObject } from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import type { World } from "./world.ts";

const N2 = { name: "n2", port: 38412, protocol: "SCTP" as const };
const WEB = { name: "web", port: 80, protocol: "TCP" as const };
const DNS = { name: "dns", port: 53, protocol: "UDP" as const };

/** `again`: the world after a restart of the controller, in the place of the one before. */
export function describeAnnotations(worldOf: () => World, again: () => Promise<World>): void {
  describeAll(worldOf, again);
  describeOnce(worldOf, again);
  describeSources(worldOf, again);
}

function describeAll(worldOf: () => World, again: () => Promise<World>): void {
  test("what annotations ask for the members do, and a new leader finds it as it is", async () => {
    const { cluster } = worldOf();
    await cluster.service(
      "all",
      {
        "holdfast.io/idle-timeout": "600",
        "holdfast.io/transitory-timeout": "60",
        "holdfast.io/one-shot-timeout": "10",
        "holdfast.io/proxy-protocol": "yes",
        "holdfast.io/stateless": "yes",
        "holdfast.io/replicate": "always",
        "holdfast.io/replicate-after": "500",
        "holdfast.io/restart-new-addresses": "accept",
        "holdfast.io/source-addresses": "203.0.113.6",
        "holdfast.io/announce": '{"ranks":[{"med":10},{"med":20}],"spread":true}',
        "holdfast.io/health": "http:8080/healthz",
        "holdfast.io/health-status": "204,200-202,203",
        "holdfast.io/health-interval-ms": "2000",
      },
      { ports: [N2, WEB, DNS] },
    );
    const vip = await cluster.address("all");
    const web = await worldOf().view(`tcp/${vip}:80`);
    assert.deepEqual([web.proxyProtocol, web.replicate], [true, "always"]);
    assert.deepEqual([web.idle, web.replicateAfterMs], [{ establishedS: 600, transitoryS: 60 }, 500]);
    assert.deepEqual(web.sourceAddresses, ["203.0.113.6"]);
    const dns = await worldOf().view(`udp/${vip}:53`);
    assert.deepEqual([dns.stateless, dns.selection, dns.replicate], [true, "hash", "long-lived"]);
    assert.deepEqual(dns.idle, { flowS: 600, oneShotS: 10 });
    const n2 = await worldOf().view(`sctp/${vip}:38412`);
    assert.deepEqual(
      [n2.restartNewAddresses, n2.idleTimeoutS, n2.sourceAddresses],
      ["accept", 600, undefined],
    );
    for (const { announce, healthCheck } of [web, dns, n2]) {
      assert.deepEqual(announce, { ranks: [{ med: 10 }, { med: 20 }], spread: true });
      assert.deepEqual(
        [healthCheck?.path, healthCheck?.status, healthCheck?.intervalMs],
        ["/healthz", "200-204", 2000],
      );
    }
    const events = await cluster.events("all");
    assert.deepEqual(
      events.filter((event) => event.startsWith("Annotation")),
      [
        "AnnotationIgnored holdfast.io/stateless has no effect: of ports of TCP, as they send the header of proxy-protocol.",
      ],
    );
    assert.deepEqual(changesOf(await again()), [0, 0, 0]);
  });
}

function describeOnce(worldOf: () => World, again: () => Promise<World>): void {
  test("values that are the members' own defaults are not asked for again and again", async () => {
    const { cluster } = worldOf();
    const common = { "holdfast.io/replicate": "long-lived", "holdfast.io/replicate-after": "1000" };
    const idle = (seconds: string) => ({ "holdfast.io/idle-timeout": seconds, ...common });
    await cluster.service(
      "web",
      { ...idle("7440"), "holdfast.io/health": "http", "holdfast.io/health-status": "100-399" },
      { ports: [WEB] },
    );
    await cluster.service("dns", idle("300"), { ports: [DNS] });
    await cluster.service("amf", { "loxilb.io/timeout": "60", "holdfast.io/restart-new-addresses": "abort" });
    for (const name of ["web", "dns", "amf"]) await cluster.address(name);
    await cluster.event("amf", "AnnotationInvalid", /they have 210/);
    assert.deepEqual(changesOf(await again()), [0, 0, 0]);
  });

  test("kube-loxilb's proxy protocol is the members', and goes with its annotation", async () => {
    const { cluster } = worldOf();
    await cluster.service("web", { "loxilb.io/useproxyprotov2": "yes" }, { ports: [WEB] });
    const id = `tcp/${await cluster.address("web")}:80`;
    assert.equal((await worldOf().view(id)).proxyProtocol, true);
    await cluster.annotate("web", { "loxilb.io/useproxyprotov2": null });
    await until("none", async () => (await worldOf().view(id)).proxyProtocol !== true);
    await cluster.service("amf", { "loxilb.io/useproxyprotov2": "yes" });
    await cluster.event("amf", "AnnotationIgnored", /useproxyprotov2 has no effect: it is for ports of TCP/);
  });
}

function describeSources(worldOf: () => World, again: () => Promise<World>): void {
  const withSource = (source: string) => ({ "holdfast.io/source-addresses": source });

  test("source addresses are in a pool, and nobody else's", async () => {
    const { cluster } = worldOf();
    await cluster.service("web", withSource("203.0.113.1"), { ports: [WEB] });
    // The first that the pool has is its source already.
    assert.equal(await cluster.address("web"), "203.0.113.2");
    await cluster.service("other", { "holdfast.io/ip": "203.0.113.1" }, { ports: [DNS] });
    await cluster.event("other", "AllocationFailed", /203\.0\.113\.1 is used by default\/web, as a source/);
    await cluster.service("thief", withSource("203.0.113.2"), { ports: [DNS] });
    await cluster.event("thief", "AllocationFailed", /source address 203\.0\.113\.2 is used by default\/web/);
    await cluster.service("far", withSource("10.99.0.1"), { ports: [DNS] });
    await cluster.event("far", "AllocationFailed", /10\.99\.0\.1 is in no VipPool/);
    const { status } = await cluster.client.get<VipPoolObject>(VIP_POOLS, { name: "net-a" });
    assert.equal(status?.used, 2);
    const world = await again();
    await world.cluster.event("other", "AllocationFailed");
    assert.deepEqual((await world.view("tcp/203.0.113.2:80")).sourceAddresses, ["203.0.113.1"]);
    assert.deepEqual(changesOf(world), [0, 0, 0]);
  });

  test("a source address that cannot be had leaves the Service as it was", async () => {
    const { cluster } = worldOf();
    await cluster.service("amf");
    const taken = await cluster.address("amf");
    await cluster.service("web", withSource("203.0.113.6"), { ports: [WEB] });
    const id = `tcp/${await cluster.address("web")}:80`;
    await cluster.annotate("web", withSource(taken));
    await cluster.event("web", "AllocationFailed", /is used by default\/amf/);
    assert.deepEqual((await worldOf().view(id)).sourceAddresses, ["203.0.113.6"]);
    await cluster.annotate("web", { "holdfast.io/source-addresses": null });
    await until("none", async () => (await worldOf().view(id)).sourceAddresses?.length === 0);
  });
}

function changesOf({ controller }: World): readonly number[] {
  const { creates, replaces, removals } = controller.members.counters;
  return [creates, replaces, removals];
}

// The contract of the controller: what a Service says and what the members do of it.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { PODS, SERVICES, VIP_POOLS, type VipPoolObject } from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { describeAnnotations } from "./contract-annotations.ts";
import { describeClasses } from "./contract-classes.ts";
import { describeEndpoints } from "./contract-endpoints.ts";
import { describeGateways } from "./contract-gateway.ts";
import { describePorts } from "./contract-ports.ts";
import { describeWays } from "./contract-ways.ts";
import { associate, type Cluster, NAMESPACE, pod, type World } from "./world.ts";

/** `open`: on an API server for tests or a real one. */
export function describeContract(name: string, open: () => Promise<World>): void {
  describe(name, () => {
    let world: World;
    let cluster: Cluster;
    beforeEach(async () => {
      world = await open();
      cluster = world.cluster;
      await cluster.pool("net-a", ["203.0.113.0/29"], { default: true, network: "a" });
      await cluster.pool("net-b", ["198.51.100.0/29"], {
        network: "b",
        secondaryRank: 1,
        aliases: ["secondPool"],
      });
      await cluster.pool("net-c", ["192.0.2.0/29"], { network: "c", secondaryRank: 2 });
    });
    afterEach(() => world.close());

    const CONTAINERS = [{ name: "amf", image: "amf" }];
    const THREE = { "holdfast.io/secondary-pools": "net-b,net-c" };
    const ID = "sctp/203.0.113.1:38412";

    async function served(...wanted: string[]): Promise<void> {
      await until(`the members serve ${wanted.join(" | ")}`, async () => {
        const now = await world.served();
        assert.deepEqual(now, wanted);
        return true;
      });
    }

    test("a Service with three VIPs and its pods is served, and says so", async () => {
      await cluster.service("amf", THREE);
      await cluster.slice("amf", [pod("10.0.0.5"), pod("10.0.0.6")]);
      assert.equal(await cluster.address("amf"), "203.0.113.1");
      await served("203.0.113.1+198.51.100.1+192.0.2.1:38412 -> 10.0.0.5:38412, 10.0.0.6:38412");
      const service = await cluster.get("amf");
      const [ingress] = service.status?.loadBalancer?.ingress ?? [];
      assert.deepEqual(ingress, {
        ip: "203.0.113.1",
        ipMode: "Proxy",
        ports: [{ port: 38412, protocol: "SCTP" }],
      });
      assert.equal(
        service.metadata.annotations?.["holdfast.io/vips"],
        "203.0.113.1=net-a,198.51.100.1=net-b,192.0.2.1=net-c",
      );
      assert.deepEqual(service.metadata.finalizers, ["holdfast.io/lb-cleanup"]);
      assert.deepEqual(
        service.status?.conditions?.map(({ type, status }) => `${type} ${status}`),
        ["holdfast.io/VipsAssigned True", "holdfast.io/Programmed True"],
      );
      await cluster.event("amf", "IPAllocated", /203\.0\.113\.1 from VipPool net-a/);
      await cluster.event("amf", "EnsuredLoadBalancer");
      await cluster.event("amf", "VipOwner", /203\.0\.113\.1 is with member m0/);
      await until("the owner in its annotation", async () =>
        /203\.0\.113\.1=m0/.test(
          (await cluster.get("amf")).metadata.annotations?.["holdfast.io/owners"] ?? "",
        ),
      );
      assert.equal((await world.view(ID)).name, "kubernetes/default/amf/38412");
    });

    test("other classes, none, and other types are left alone", async () => {
      await cluster.service("other", {}, { loadBalancerClass: "example.com/lb" });
      await cluster.service("inner", {}, { type: "ClusterIP", loadBalancerClass: undefined as never });
      await cluster.service("amf");
      await cluster.address("amf");
      for (const name of ["other", "inner"]) {
        assert.equal((await cluster.get(name)).metadata.finalizers, undefined);
        assert.deepEqual(await cluster.events(name), []);
      }
      assert.equal((await world.served()).length, 1);
    });

    test("kube-loxilb's annotations, the present dialect and the blog's", async () => {
      await cluster.service("now", {
        "loxilb.io/poolSelectSecondary": "secondPool",
        "loxilb.io/epselect": "rr",
      });
      await cluster.address("now");
      await cluster.service("blog", {
        "loxilb.io/num-secondary-networks": "2",
        "loixlb.io/lbmode": "fullnat",
      });
      await cluster.address("blog");
      await served("203.0.113.1+198.51.100.1:38412 -> ", "203.0.113.2+198.51.100.2+192.0.2.1:38412 -> ");
      assert.equal((await world.view(ID)).selection, "roundRobin");
      await cluster.event("blog", "AnnotationUnknown", /did you mean loxilb\.io\/lbmode/);
    });

    test("an annotation that goes takes its effect along", async () => {
      await cluster.service("amf", { "holdfast.io/selection": "roundRobin", "holdfast.io/health": "ping" });
      await cluster.address("amf");
      assert.equal((await world.view(ID)).healthCheck?.kind, "ping");
      await cluster.annotate("amf", { "holdfast.io/selection": null, "holdfast.io/health": null });
      await until("the defaults", async () => {
        const { selection, healthCheck } = await world.view(ID);
        return selection === "leastAssociations" && healthCheck === undefined;
      });
    });

    test("a full pool leaves one pending, others go on, and the next free address is its", async () => {
      await cluster.pool("tiny", ["192.0.2.100"]);
      await cluster.service("first", { "holdfast.io/pool": "tiny" });
      assert.equal(await cluster.address("first"), "192.0.2.100");
      await cluster.service("late", { "holdfast.io/pool": "tiny" });
      await cluster.event("late", "AllocationFailed", /VipPool tiny has no free address/);
      await cluster.service("fine");
      assert.equal(await cluster.address("fine"), "203.0.113.1");
      const late = await cluster.get("late");
      assert.equal(late.status?.loadBalancer?.ingress, undefined);
      assert.equal(late.status?.conditions?.[0]?.status, "False");
      await cluster.remove("first");
      assert.equal(await cluster.address("late"), "192.0.2.100");
    });

    test("a pool that grows serves who waits; its status counts", async () => {
      await cluster.pool("tiny", ["192.0.2.100"]);
      await cluster.service("first", { "holdfast.io/pool": "tiny" });
      await cluster.service("late", { "holdfast.io/pool": "tiny" });
      await cluster.event("late", "AllocationFailed");
      const status = () =>
        until(
          "its status",
          async () => (await cluster.client.get<VipPoolObject>(VIP_POOLS, { name: "tiny" })).status,
        );
      await until("full", async () => (await status()).conditions[0]?.reason === "Full");
      await cluster.client.patch(
        VIP_POOLS,
        { name: "tiny" },
        { spec: { ranges: ["192.0.2.100-192.0.2.103"] } },
      );
      assert.equal(await cluster.address("late"), "192.0.2.101");
      await until("2 of 4", async () => {
        const { used, capacity, free } = await status();
        return used === 2 && capacity === "4" && free === "2";
      });
    });

    test("a pool that shrinks or is disabled keeps what it gave", async () => {
      await cluster.service("amf");
      await cluster.address("amf");
      await cluster.client.patch(
        VIP_POOLS,
        { name: "net-a" },
        { spec: { ranges: ["203.0.113.5"], disabled: true } },
      );
      await cluster.service("late");
      await cluster.event("late", "AllocationFailed", /net-a is disabled/);
      assert.equal(await cluster.address("amf"), "203.0.113.1");
      await until("its status", async () => {
        const { status } = await cluster.client.get<VipPoolObject>(VIP_POOLS, { name: "net-a" });
        return (
          status?.outside.includes("203.0.113.1") === true && status.conditions[0]?.reason === "Disabled"
        );
      });
    });

    test("Services share a VIP by a key and different ports", async () => {
      const key = { "holdfast.io/sharing-key": "core", "holdfast.io/ip": "203.0.113.4" };
      const port = (number: number) => ({ ports: [{ name: "n2", port: number, protocol: "SCTP" as const }] });
      await cluster.service("one", key, port(1000));
      await cluster.service("two", key, port(2000));
      await cluster.service("three", key, port(1000));
      await cluster.service("four", { "holdfast.io/ip": "203.0.113.4" }, port(4000));
      assert.equal(await cluster.address("one"), "203.0.113.4");
      assert.equal(await cluster.address("two"), "203.0.113.4");
      await cluster.event("three", "AllocationFailed", /is used by default\/one/);
      await cluster.event("four", "AllocationFailed", /sharing-key/);
      await served("203.0.113.4:1000 -> ", "203.0.113.4:2000 -> ");
    });

    test("both families: a VIP of each, and a pod's two addresses are one endpoint", async () => {
      await cluster.pool("six", ["2001:db8::/125"], { default: true });
      await cluster.service("amf", {}, { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "RequireDualStack" });
      await cluster.slice("amf", [pod("10.0.0.5", "p")]);
      await cluster.slice("amf", [pod("fd00::5", "p")], { addressType: "IPv6" });
      assert.equal(await cluster.address("amf"), "203.0.113.1,2001:db8::1");
      await served("203.0.113.1+2001:db8::1:38412 -> 10.0.0.5+fd00::5:38412");
    });

    test("an endpoint drains for its pod's grace", async () => {
      await cluster.client.create(PODS, {
        metadata: { namespace: NAMESPACE, name: "pod-p", annotations: { a: "b" } },
        spec: { terminationGracePeriodSeconds: 77, containers: CONTAINERS },
      } as never);
      const { metadata } = await cluster.client.get(PODS, { namespace: NAMESPACE, name: "pod-p" });
      await cluster.service("amf");
      const going = { ...pod("10.0.0.5", metadata.uid, { ready: false, terminating: true }) };
      await cluster.slice("amf", [
        pod("10.0.0.6"),
        { ...going, targetRef: { ...going.targetRef, name: "pod-p" } },
      ]);
      await until("the grace", async () => (await world.view(ID)).endpointRemoval?.graceS === 77);
    });

    test("endpoints of a zone are preferred while there are any", async () => {
      await cluster.service("amf", { "holdfast.io/zones": "z1" });
      await cluster.slice("amf", [
        { ...pod("10.0.0.5"), zone: "z1" },
        { ...pod("10.0.0.6"), zone: "z2" },
      ]);
      await served("203.0.113.1:38412 -> 10.0.0.5:38412, 10.0.0.6:38412 drains");
      await cluster.endpoints("amf", [{ ...pod("10.0.0.6"), zone: "z2" }]);
      await served("203.0.113.1:38412 -> 10.0.0.6:38412");
    });

    test("a pod's addresses on several networks are one endpoint; a pod without one is named", async () => {
      const status = [
        { name: "cbr0", ips: ["10.0.0.5"], default: true },
        { name: "default/net-b", ips: ["172.16.0.5"] },
        { name: "core/net-c", ips: ["172.17.0.5"] },
      ];
      await cluster.client.create(PODS, {
        metadata: {
          namespace: NAMESPACE,
          name: "pod-p",
          annotations: { "k8s.v1.cni.cncf.io/network-status": JSON.stringify(status) },
        },
        spec: { containers: CONTAINERS },
      } as never);
      const { uid = "" } = (await cluster.client.get(PODS, { namespace: NAMESPACE, name: "pod-p" })).metadata;
      await cluster.service("amf", { "holdfast.io/networks": "pod,net-b,core/net-c" });
      const known = {
        ...pod("10.0.0.5", uid),
        targetRef: { kind: "Pod", namespace: NAMESPACE, name: "pod-p", uid },
      };
      await cluster.slice("amf", [known, pod("10.0.0.6")]);
      await served("203.0.113.1:38412 -> 10.0.0.5+172.16.0.5+172.17.0.5:38412");
      await cluster.event("amf", "EndpointsIgnored", /pod-uid-10\.0\.0\.6 has no address on network net-b/);
    });

    test("more endpoints than members take: the first 32, and an event", async () => {
      await cluster.service("amf");
      await cluster.slice(
        "amf",
        Array.from({ length: 40 }, (_, index) => pod(`10.0.0.${index + 1}`)),
      );
      await cluster.event("amf", "EndpointsIgnored", /40 endpoints: 32/);
      assert.equal((await world.view(ID)).endpoints.length, 32);
    });

    test("a slip in the annotations of a Service that is served changes nothing and is told", async () => {
      await cluster.service("amf", THREE);
      await cluster.address("amf");
      const before = await world.served();
      await cluster.annotate("amf", { "holdfast.io/secondary-pools": "net-b,nowhere" });
      await cluster.event("amf", "AllocationFailed", /no VipPool nowhere/);
      await cluster.annotate("amf", {
        "holdfast.io/secondary-ips": "1.2.3",
        "holdfast.io/secondary-pools": "net-b,net-c",
      });
      await cluster.event("amf", "AnnotationInvalid", /1\.2\.3/);
      assert.deepEqual(await world.served(), before);
      assert.equal(await cluster.address("amf"), "203.0.113.1");
    });

    test("a secondary more, and one less: the others stay where they are", async () => {
      await cluster.service("amf", { "holdfast.io/secondary-pools": "net-b" });
      await cluster.address("amf");
      await cluster.annotate("amf", { "holdfast.io/secondary-pools": "net-c,net-b" });
      await until("three", async () => (await world.view(ID)).vips.length === 3);
      assert.deepEqual([...(await world.view(ID)).vips].sort(), ["192.0.2.1", "198.51.100.1", "203.0.113.1"]);
      await cluster.annotate("amf", { "holdfast.io/secondary-pools": "net-c" });
      await until("two", async () => (await world.view(ID)).vips.length === 2);
    });

    test("ports come and go", async () => {
      await cluster.service("amf");
      await cluster.address("amf");
      const ports = [
        { name: "n2", port: 38412, protocol: "SCTP" },
        { name: "x2", port: 36422, protocol: "SCTP" },
      ];
      await cluster.patch("amf", { spec: { ports } });
      await served("203.0.113.1:36422 -> ", "203.0.113.1:38412 -> ");
      await cluster.patch("amf", { spec: { ports: ports.slice(1) } });
      await served("203.0.113.1:36422 -> ");
    });

    test("deleted: the members let go first, then the Service does", async () => {
      await cluster.service("amf");
      await cluster.address("amf");
      await cluster.remove("amf");
      await until("its end", () => cluster.isGone("amf"));
      assert.deepEqual(await world.served(), []);
      await cluster.event("amf", "DeletedLoadBalancer");
    });

    test("deleted with associations: they drain, and nobody else gets the VIP meanwhile", async () => {
      await cluster.service("amf");
      await cluster.slice("amf", [pod("10.0.0.5")]);
      await served("203.0.113.1:38412 -> 10.0.0.5:38412");
      associate(world);
      await cluster.remove("amf");
      await until("its end", () => cluster.isGone("amf"));
      assert.equal((await world.view(ID)).removal?.mode, "drain");
      await cluster.service("next");
      assert.equal(await cluster.address("next"), "203.0.113.2");
    });

    test("another type: cleaned up, the status and our marks are gone", async () => {
      await cluster.service("amf");
      await cluster.address("amf");
      await cluster.patch("amf", { spec: { type: "ClusterIP", loadBalancerClass: null } });
      await until("no mark of ours", async () => {
        const { metadata, status } = await cluster.get("amf");
        const isClean =
          (metadata.finalizers ?? []).length === 0 &&
          metadata.annotations?.["holdfast.io/vips"] === undefined;
        return (
          isClean &&
          (status?.loadBalancer?.ingress ?? []).length === 0 &&
          (status?.conditions ?? []).length === 0
        );
      });
      assert.deepEqual(await world.served(), []);
    });

    test("other finalizers and conditions are left alone", async () => {
      await cluster.client.create(SERVICES, {
        metadata: { namespace: NAMESPACE, name: "amf", finalizers: ["example.com/mine"] },
        spec: {
          type: "LoadBalancer",
          loadBalancerClass: "holdfast.io/holdfast",
          ports: [{ name: "n2", port: 38412, protocol: "SCTP" }],
        },
      } as never);
      await cluster.address("amf");
      assert.deepEqual((await cluster.get("amf")).metadata.finalizers, [
        "example.com/mine",
        "holdfast.io/lb-cleanup",
      ]);
      await cluster.remove("amf");
      await until(
        "ours is gone",
        async () => (await cluster.get("amf")).metadata.finalizers?.join() === "example.com/mine",
      );
    });

    test("what the members refuse is told, and served when they take it", async () => {
      await cluster.service("amf");
      await cluster.address("amf");
      await cluster.service("odd");
      await cluster.address("odd");
      // The VIP of one Service as endpoint of another: members refuse that.
      await cluster.slice("odd", [pod("203.0.113.1")]);
      await cluster.event("odd", "SyncLoadBalancerFailed", /203\.0\.113\.1/);
      await until("its condition", async () =>
        (await cluster.get("odd")).status?.conditions?.some(
          ({ type, status }) => type === "holdfast.io/Programmed" && status === "False",
        ),
      );
      await cluster.endpoints("odd", [pod("10.0.0.9")]);
      await served("203.0.113.1:38412 -> ", "203.0.113.2:38412 -> 10.0.0.9:38412");
      await until("its condition", async () =>
        (await cluster.get("odd")).status?.conditions?.some(
          ({ type, status }) => type === "holdfast.io/Programmed" && status === "True",
        ),
      );
    });

    test("a service of somebody else at the members is not touched, and its VIP is not given", async () => {
      world.members[0]?.node.registry.create({
        name: "by hand",
        protocol: "sctp",
        vips: ["203.0.113.1"],
        port: 38412,
        selection: "leastAssociations",
        endpoints: [],
        idleTimeoutS: 900,
        restartNewAddresses: "abort",
        clientPrefixes: [],
        withdrawWhenDown: false,
      });
      await until("it is seen", () => [...world.controller.members.services].length === 1);
      await cluster.service("amf");
      assert.equal(await cluster.address("amf"), "203.0.113.2");
      assert.equal((await world.view(ID)).name, "by hand");
    });

    describePorts(() => world);
    describeEndpoints(() => world);
    describeAnnotations(
      () => world,
      async () => {
        world = await world.restart();
        cluster = world.cluster;
        return world;
      },
    );
    describeWays(() => world);
    describeGateways(() => world);
    describeClasses(() => world);
  });
}

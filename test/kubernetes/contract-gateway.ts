// The part of the contract about the Gateway API: what Gateways and routes say, what the members do of
// it, and what the statuses say then.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  GATEWAY_CLASSES,
  GATEWAYS,
  type Gateway,
  type GatewayClass,
  type Listener,
  NAMESPACES,
  REFERENCE_GRANTS,
  type ReferenceGrant,
  SCTP_ROUTES,
  TCP_ROUTES,
  UDP_ROUTES,
} from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { ACCEPTED, Gateways, ID, N2 } from "./gateway-scene.ts";
import { CLASS, NAMESPACE, pod, type World } from "./world.ts";

const OTHER = "kube-public";

export function describeGateways(worldOf: () => World): void {
  const open = () => new Gateways(worldOf());
  describeService(open);
  describeProtocols(open);
  describeRoutes(open);
  describeReferences(open);
  describeBackends(open);
  describePods(open);
  describeAddresses(open);
  describeLife(open);
}

function describeService(open: () => Gateways): void {
  test("Gateway: an SCTP listener with a route is served, and class, Gateway, listener and route say so", async () => {
    const gateways = open();
    await gateways.backend("amf", ["10.0.0.5", "10.0.0.6"]);
    await gateways.open([N2], {}, { "holdfast.io/secondary-pools": "net-b,net-c" });
    await gateways.route("n2", [{ name: "amf" }]);
    await gateways.serves("203.0.113.1+198.51.100.1+192.0.2.1:38412 -> 10.0.0.5:38412, 10.0.0.6:38412");
    await gateways.attached("n2", 1);
    await gateways.gatewaySays("Accepted True Accepted", "Programmed True Programmed");
    await gateways.listenerSays(
      "n2",
      ...ACCEPTED,
      "Programmed True Programmed",
      "Conflicted False NoConflicts",
    );
    await gateways.routeSays("n2", ACCEPTED);
    const { status, metadata } = await gateways.gateway();
    assert.deepEqual(
      status?.addresses?.map(({ type, value }) => `${type} ${value}`),
      ["IPAddress 203.0.113.1", "IPAddress 198.51.100.1", "IPAddress 192.0.2.1"],
    );
    assert.deepEqual(status?.listeners?.[0]?.supportedKinds, [{ group: "holdfast.io", kind: "SCTPRoute" }]);
    for (const { observedGeneration } of [
      ...(status?.conditions ?? []),
      ...(status?.listeners?.[0]?.conditions ?? []),
    ])
      assert.equal(observedGeneration, metadata.generation);
    assert.deepEqual(metadata.finalizers, ["holdfast.io/lb-cleanup"]);
    const read = async () =>
      (await gateways.cluster.client.get<GatewayClass>(GATEWAY_CLASSES, { name: "sctp" })).status?.conditions;
    await gateways.says("the class", read, "Accepted True Accepted");
    assert.equal((await gateways.world.view(ID)).name, "kubernetes/default/gateway:core/38412");
  });

  test("Gateway: classes of others, and with parameters, are left alone", async () => {
    const gateways = open();
    const { client } = gateways.cluster;
    await client.create<GatewayClass>(GATEWAY_CLASSES, {
      metadata: { name: "theirs" },
      spec: { controllerName: "example.com/other" },
    });
    await client.create<GatewayClass>(GATEWAY_CLASSES, {
      metadata: { name: "odd" },
      spec: { controllerName: CLASS, parametersRef: { group: "example.com", kind: "Parameters", name: "x" } },
    });
    for (const name of ["theirs", "odd"])
      await client.create<Gateway>(GATEWAYS, {
        metadata: { namespace: NAMESPACE, name },
        spec: { gatewayClassName: name, listeners: [N2] },
      });
    const read = async () =>
      (await client.get<GatewayClass>(GATEWAY_CLASSES, { name: "odd" })).status?.conditions;
    await gateways.says("the class", read, "Accepted False InvalidParameters");
    await gateways.open([N2]);
    await gateways.serves("203.0.113.1:38412 -> ");
    for (const name of ["theirs", "odd"])
      assert.equal((await gateways.gateway(name)).metadata.finalizers, undefined);
  });
}

function describeProtocols(open: () => Gateways): void {
  test("Gateway: listeners of TCP and UDP take their own routes; another protocol is refused, the others are served", async () => {
    const gateways = open();
    await gateways.backend("web", ["10.0.0.7"], "TCP");
    await gateways.backend("dns", ["10.0.0.8"], "UDP");
    const listeners = [
      { name: "web", port: 80, protocol: "TCP" },
      { name: "dns", port: 53, protocol: "UDP" },
      { name: "odd", port: 81, protocol: "HTTP" },
    ];
    await gateways.open(listeners);
    await gateways.route("web", [{ name: "web" }], { resource: TCP_ROUTES, sectionName: "web" });
    await gateways.route("dns", [{ name: "dns" }], { resource: UDP_ROUTES });
    await gateways.serves("203.0.113.1:53 -> 10.0.0.8:38412", "203.0.113.1:80 -> 10.0.0.7:38412");
    await gateways.gatewaySays("Accepted True ListenersNotValid", "Programmed True Programmed");
    await gateways.listenerSays("odd", "Accepted False UnsupportedProtocol", "Programmed False Invalid");
    await gateways.listenerSays("web", "Programmed True Programmed");
    await gateways.routeSays("web", ACCEPTED, TCP_ROUTES);
    await gateways.routeSays("dns", ACCEPTED, UDP_ROUTES);
    assert.equal(
      (await gateways.gateway()).status?.listeners?.find(({ name }) => name === "odd")?.attachedRoutes,
      0,
    );
  });

  test("Gateway: a port that somebody else has is not available, and nobody's service is touched", async () => {
    const gateways = open();
    const registry = gateways.world.members[0]?.node.registry as unknown as {
      create: (spec: object) => unknown;
    };
    const byHand = {
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
    };
    // Just before the controller's own, so that it cannot have known.
    const { create } = registry;
    registry.create = (spec) => {
      registry.create = create;
      create.call(registry, byHand);
      return create.call(registry, spec);
    };
    await gateways.open([N2, { ...N2, name: "x2", port: 36422 }], {
      addresses: [{ type: "IPAddress", value: "203.0.113.1" }],
    });
    await gateways.listenerSays("n2", "Accepted False PortUnavailable", "Programmed False Invalid");
    await gateways.listenerSays("x2", "Programmed True Programmed");
    assert.equal((await gateways.world.view(ID)).name, "by hand");
  });
}

function describeRoutes(open: () => Gateways): void {
  test("Gateway: who may attach: namespaces, kinds, names of listeners", async () => {
    const gateways = open();
    await gateways.backend("amf", ["10.0.0.5"]);
    await gateways.open([
      { ...N2, allowedRoutes: { namespaces: { from: "Same" } } },
      {
        ...N2,
        name: "x2",
        port: 36422,
        allowedRoutes: {
          namespaces: {
            from: "Selector",
            selector: { matchLabels: { "kubernetes.io/metadata.name": OTHER } },
          },
        },
      },
      { ...N2, name: "none", port: 1000, allowedRoutes: { kinds: [{ kind: "HTTPRoute" }] } },
    ]);
    await gateways.cluster.client
      .create(NAMESPACES, {
        metadata: { name: OTHER, labels: { "kubernetes.io/metadata.name": OTHER } },
      })
      .catch(() => {});
    await gateways.route("here", [{ name: "amf" }], { sectionName: "n2" });
    await gateways.route("there", [{ name: "amf", namespace: NAMESPACE }], {
      namespace: OTHER,
      sectionName: "x2",
    });
    await gateways.route("stranger", [{ name: "amf" }], { namespace: OTHER, sectionName: "n2" });
    await gateways.route("lost", [{ name: "amf" }], { sectionName: "nowhere" });
    await gateways.route("wrong", [{ name: "amf" }], { sectionName: "none" });
    await gateways.routeSays("here", ["Accepted True Accepted"]);
    await gateways.routeSays(
      "there",
      ["Accepted True Accepted", "ResolvedRefs False RefNotPermitted"],
      SCTP_ROUTES,
      OTHER,
    );
    await gateways.routeSays("stranger", ["Accepted False NotAllowedByListeners"], SCTP_ROUTES, OTHER);
    await gateways.routeSays("lost", ["Accepted False NoMatchingParent"]);
    await gateways.routeSays("wrong", ["Accepted False NotAllowedByListeners"]);
    await gateways.listenerSays("none", "ResolvedRefs False InvalidRouteKinds");
    await gateways.attached("n2", 1);
    await gateways.attached("x2", 1);
    assert.deepEqual((await gateways.gateway()).status?.listeners?.[2]?.supportedKinds, []);
  });

  test("Gateway: of two routes of one listener the older has it, the other when that goes", async () => {
    const gateways = open();
    await gateways.backend("old", ["10.0.0.5"]);
    await gateways.backend("new", ["10.0.0.6"]);
    await gateways.open([N2]);
    await gateways.route("a-first", [{ name: "old" }]);
    await gateways.routeSays("a-first", ACCEPTED);
    await gateways.route("b-second", [{ name: "new" }]);
    await gateways.routeSays("b-second", ["Accepted False UnsupportedValue"]);
    await gateways.serves("203.0.113.1:38412 -> 10.0.0.5:38412");
    await gateways.cluster.client.remove(SCTP_ROUTES, { namespace: NAMESPACE, name: "a-first" });
    await gateways.routeSays("b-second", ACCEPTED);
    await gateways.serves("203.0.113.1:38412 -> 10.0.0.6:38412");
    await gateways.attached("n2", 1);
  });
}

function describeReferences(open: () => Gateways): void {
  test("Gateway: a Service of another namespace needs a ReferenceGrant there, and loses with it", async () => {
    const gateways = open();
    const { client } = gateways.cluster;
    await client.create(NAMESPACES, { metadata: { name: OTHER } }).catch(() => {});
    await gateways.backend("amf", ["10.0.0.5"], "SCTP", OTHER);
    await gateways.open([N2]);
    await gateways.route("n2", [{ name: "amf", namespace: OTHER }]);
    await gateways.routeSays("n2", ["Accepted True Accepted", "ResolvedRefs False RefNotPermitted"]);
    await gateways.serves("203.0.113.1:38412 -> ");
    await client.create<ReferenceGrant>(REFERENCE_GRANTS, {
      metadata: { namespace: OTHER, name: "amf" },
      spec: {
        from: [{ group: "holdfast.io", kind: "SCTPRoute", namespace: NAMESPACE }],
        to: [{ group: "", kind: "Service", name: "amf" }],
      },
    });
    await gateways.routeSays("n2", ACCEPTED);
    await gateways.serves("203.0.113.1:38412 -> 10.0.0.5:38412");
    await client.remove(REFERENCE_GRANTS, { namespace: OTHER, name: "amf" });
    await gateways.routeSays("n2", ["ResolvedRefs False RefNotPermitted"]);
    await gateways.serves("203.0.113.1:38412 -> ");
  });
}

function describeBackends(open: () => Gateways): void {
  test("Gateway: backends that are missing, no Services or of another protocol are named; the others are used by their weights", async () => {
    const gateways = open();
    await gateways.backend("big", ["10.0.0.5"]);
    await gateways.backend("small", ["10.0.0.6", "10.0.0.7"]);
    await gateways.backend("web", ["10.0.0.8"], "TCP");
    await gateways.open([N2]);
    const weighed = [
      { name: "big", weight: 3 },
      { name: "small", weight: 1 },
    ];
    await gateways.route("n2", [...weighed, { name: "late" }]);
    await gateways.routeSays("n2", ["Accepted True Accepted", "ResolvedRefs False BackendNotFound"]);
    await until("weights", async () => {
      const { endpoints } = await gateways.world.view(ID);
      assert.deepEqual(
        endpoints.map(({ address, weight }) => `${address} ${weight}`),
        ["10.0.0.5 1000", "10.0.0.6 167", "10.0.0.7 167"],
      );
      return true;
    });
    const change = (backendRefs: object[]) =>
      gateways.cluster.client.patch(
        SCTP_ROUTES,
        { namespace: NAMESPACE, name: "n2" },
        { spec: { rules: [{ backendRefs }] } },
      );
    await change([
      { name: "big", port: 38412 },
      { name: "web", port: 38412 },
    ]);
    await gateways.routeSays("n2", ["ResolvedRefs False UnsupportedProtocol"]);
    await change([
      { name: "big", port: 38412 },
      { group: "example.com", kind: "Bucket", name: "b" },
    ]);
    await gateways.routeSays("n2", ["ResolvedRefs False InvalidKind"]);
    await change([{ name: "big", port: 1 }]);
    await gateways.routeSays("n2", ["ResolvedRefs False BackendNotFound"]);
    await change([{ name: "big", port: 38412 }]);
    await gateways.routeSays("n2", ACCEPTED);
    await gateways.serves("203.0.113.1:38412 -> 10.0.0.5:38412");
  });
}

function describePods(open: () => Gateways): void {
  test("Gateway: pods come and go behind a route", async () => {
    const gateways = open();
    await gateways.backend("amf", ["10.0.0.5"]);
    await gateways.open([N2]);
    await gateways.route("n2", [{ name: "amf" }]);
    await gateways.serves("203.0.113.1:38412 -> 10.0.0.5:38412");
    await gateways.cluster.endpoints("amf", [
      pod("10.0.0.5", "a", { ready: false, terminating: true }),
      pod("10.0.0.6"),
    ]);
    await gateways.serves("203.0.113.1:38412 -> 10.0.0.5:38412 drains, 10.0.0.6:38412");
  });

  test("Gateway: a pod behind two backends, with one address here and two there, is one endpoint", async () => {
    const gateways = open();
    const { cluster } = gateways;
    await cluster.pool("six", ["2001:db8::/125"], { default: true });
    await gateways.backend("one", ["10.0.0.5"]);
    await gateways.backend("both", ["10.0.0.5", "10.0.0.6"]);
    const six = [pod("fd00::5", "uid-10.0.0.5"), pod("fd00::6", "uid-10.0.0.6")];
    await cluster.slice("both", six, { addressType: "IPv6" });
    await gateways.open([N2], {
      addresses: ["net-a", "six"].map((value) => ({ type: "holdfast.io/VipPool", value })),
    });
    await gateways.route("n2", [{ name: "one" }, { name: "both" }]);
    await gateways.serves("203.0.113.1+2001:db8::1:38412 -> 10.0.0.5+fd00::5:38412, 10.0.0.6+fd00::6:38412");
  });
}

function describeAddresses(open: () => Gateways): void {
  test("Gateway: addresses and pools that it asks for, and those that it cannot have", async () => {
    const gateways = open();
    await gateways.open([N2], {
      addresses: [
        { type: "IPAddress", value: "203.0.113.4" },
        { type: "holdfast.io/VipPool", value: "net-b" },
      ],
    });
    await gateways.serves("203.0.113.4+198.51.100.1:38412 -> ");
    const change = (addresses: object[]) =>
      gateways.cluster.client.patch(
        GATEWAYS,
        { namespace: NAMESPACE, name: "core" },
        { spec: { addresses } },
      );
    await change([{ type: "Hostname", value: "amf.example" }]);
    await gateways.gatewaySays("Accepted False UnsupportedAddress", "Programmed False Invalid");
    await gateways.serves("203.0.113.4+198.51.100.1:38412 -> ");
    await gateways.cluster.client.create<Gateway>(GATEWAYS, {
      metadata: { namespace: NAMESPACE, name: "second" },
      spec: {
        gatewayClassName: "sctp",
        listeners: [N2],
        addresses: [{ type: "IPAddress", value: "203.0.113.4" }],
      },
    });
    await gateways.says(
      "the second",
      async () => (await gateways.gateway("second")).status?.conditions,
      "Accepted True Accepted",
      "Programmed False AddressNotUsable",
    );
    await gateways.cluster.event("second", "AllocationFailed", /203\.0\.113\.4/);
  });
}

function describeLife(open: () => Gateways): void {
  test("Gateway: deleted, the members let go first; its VIP is free for a Service", async () => {
    const gateways = open();
    await gateways.open([N2]);
    await gateways.serves("203.0.113.1:38412 -> ");
    await gateways.cluster.client.remove(GATEWAYS, { namespace: NAMESPACE, name: "core" });
    await until("its end", () =>
      gateways.gateway().then(
        () => false,
        () => true,
      ),
    );
    await gateways.serves();
    await gateways.cluster.service("amf");
    assert.equal(await gateways.cluster.address("amf"), "203.0.113.1");
  });

  test("Gateway: listeners come and go, and its VIP stays", async () => {
    const gateways = open();
    await gateways.open([N2]);
    await gateways.serves("203.0.113.1:38412 -> ");
    const change = (listeners: Listener[]) =>
      gateways.cluster.client.patch(
        GATEWAYS,
        { namespace: NAMESPACE, name: "core" },
        { spec: { listeners } },
      );
    await change([N2, { ...N2, name: "x2", port: 36422 }]);
    await gateways.serves("203.0.113.1:36422 -> ", "203.0.113.1:38412 -> ");
    await change([{ ...N2, name: "x2", port: 36422 }]);
    await gateways.serves("203.0.113.1:36422 -> ");
    await until(
      "one listener's status",
      async () => (await gateways.gateway()).status?.listeners?.length === 1,
    );
  });
}

// The part of the contract about GatewayClasses and what listeners say of routes.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  DEFINITIONS,
  GATEWAY_CLASSES,
  GATEWAYS,
  type GatewayClass,
  SCTP_ROUTES,
  SUPPORTED_FEATURES,
  TCP_ROUTES,
} from "@holdfast/kubernetes/testing";
import { until } from "@holdfast/testkit";
import { ACCEPTED, Gateways, N2 } from "./gateway-scene.ts";
import { NAMESPACE, type World } from "./world.ts";

const FINALIZER = "gateway-exists-finalizer.gateway.networking.k8s.io";
const DEFINITION = "gatewayclasses.gateway.networking.k8s.io";

export function describeClasses(worldOf: () => World): void {
  const open = () => new Gateways(worldOf());
  describeUse(open);
  describeFreedom(open);
  describeListeners(open);
}

const classOf = ({ cluster }: Gateways) =>
  cluster.client.get<GatewayClass>(GATEWAY_CLASSES, { name: "sctp" });

/** Status and finalizer are two writes. */
const held = (gateways: Gateways) =>
  until("the class to be held", async () => {
    const { metadata } = await classOf(gateways);
    return metadata.finalizers?.join() === FINALIZER;
  });

function describeUse(open: () => Gateways): void {
  test("Gateway: a class that Gateways use does not go before them, and says what it can", async () => {
    const gateways = open();
    const { client } = gateways.cluster;
    // A real server has the definitions; the one for tests is told of their version.
    await client
      .create(DEFINITIONS, {
        metadata: {
          name: DEFINITION,
          annotations: { "gateway.networking.k8s.io/bundle-version": "v1.6.0" },
        },
      })
      .catch(() => {});
    await gateways.open([N2]);
    await gateways.serves("203.0.113.1:38412 -> ");
    const read = async () => (await classOf(gateways)).status?.conditions;
    await gateways.says(
      "the class",
      read,
      "Accepted True Accepted",
      "SupportedVersion True SupportedVersion",
    );
    await held(gateways);
    const { status } = await classOf(gateways);
    assert.deepEqual(status?.supportedFeatures, SUPPORTED_FEATURES);
    const names = SUPPORTED_FEATURES.map(({ name }) => name);
    assert.deepEqual(names, [...names].sort());
    // It is deleted: its Gateway is served on, and it goes with that.
    await client.remove(GATEWAY_CLASSES, { name: "sctp" });
    assert.notEqual((await classOf(gateways)).metadata.deletionTimestamp, undefined);
    await gateways.route("n2", [{ name: "amf" }]);
    await gateways.attached("n2", 1);
    await gateways.serves("203.0.113.1:38412 -> ");
    await client.remove(GATEWAYS, { namespace: NAMESPACE, name: "core" });
    await gateways.serves();
    await until("the class to be gone", () =>
      classOf(gateways).then(
        () => false,
        () => true,
      ),
    );
  });
}

function describeFreedom(open: () => Gateways): void {
  test("Gateway: a class without Gateways is free to go, and gets its finalizer with the first", async () => {
    const gateways = open();
    const { client } = gateways.cluster;
    await gateways.open([N2]);
    await until("its finalizer", async () =>
      (await classOf(gateways)).metadata.finalizers?.includes(FINALIZER),
    );
    await client.remove(GATEWAYS, { namespace: NAMESPACE, name: "core" });
    await until(
      "it to be free",
      async () => ((await classOf(gateways)).metadata.finalizers ?? []).length === 0,
    );
  });
}

function describeListeners(open: () => Gateways): void {
  test("Gateway: every listener says which kinds it takes and how many routes it has", async () => {
    const gateways = open();
    await gateways.backend("amf", ["10.0.0.5"]);
    const kinds = (...kind: string[]) => ({
      kinds: kind.map((each) => ({
        group: each === "SCTPRoute" ? "holdfast.io" : "gateway.networking.k8s.io",
        kind: each,
      })),
    });
    await gateways.open([
      N2,
      { name: "web", port: 80, protocol: "TCP", allowedRoutes: kinds("TCPRoute", "HTTPRoute") },
      { name: "none", port: 81, protocol: "TCP", allowedRoutes: kinds("HTTPRoute") },
      { name: "tls", port: 443, protocol: "HTTPS" },
    ]);
    await gateways.route("n2", [{ name: "amf" }], { sectionName: "n2" });
    await gateways.route("broken", [{ name: "nobody" }], { resource: TCP_ROUTES, sectionName: "web" });
    await gateways.routeSays("n2", ACCEPTED);
    await gateways.routeSays(
      "broken",
      ["Accepted True Accepted", "ResolvedRefs False BackendNotFound"],
      TCP_ROUTES,
    );
    await gateways.attached("n2", 1);
    // A route whose backend is not there is attached all the same.
    await gateways.attached("web", 1);
    const said = async () =>
      Object.fromEntries(
        ((await gateways.gateway()).status?.listeners ?? []).map(
          ({ name, supportedKinds, attachedRoutes }) => [
            name,
            `${supportedKinds.map(({ kind }) => kind).join()} ${attachedRoutes}`,
          ],
        ),
      );
    assert.deepEqual(await said(), {
      n2: "SCTPRoute 1",
      web: "TCPRoute 1",
      none: " 0",
      tls: " 0",
    });
    await gateways.listenerSays("web", "ResolvedRefs False InvalidRouteKinds", "Programmed True Programmed");
    await gateways.listenerSays("none", "ResolvedRefs False InvalidRouteKinds");
    await gateways.listenerSays("tls", "Accepted False UnsupportedProtocol");
    await gateways.cluster.client.remove(SCTP_ROUTES, { namespace: NAMESPACE, name: "n2" });
    await gateways.attached("n2", 0);
  });
}

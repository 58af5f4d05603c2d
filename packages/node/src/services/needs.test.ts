import assert from "node:assert/strict";
import { test } from "node:test";
import type { ServiceSpec } from "@holdfast/api";
import { seededRandom } from "@holdfast/model";
import { capabilitiesOf } from "@holdfast/sync";
import { ConfigurationDocument } from "@holdfast/sync/testing";
import { createServiceRegistry } from "./registry.ts";

const SPEC: ServiceSpec = {
  name: "",
  protocol: "sctp",
  vips: ["203.0.113.1"],
  port: 38412,
  selection: "roundRobin",
  endpoints: [],
  idleTimeoutS: 900,
  restartNewAddresses: "abort",
  clientPrefixes: [],
  withdrawWhenDown: false,
  endpointRemoval: { mode: "drain", graceS: 300 },
};

const ENDPOINT = { address: "192.0.2.1", port: 38412, weight: 1, state: "active" };

test("what a member cannot read is refused while it is known not to, and taken when it can", () => {
  const store = new ConfigurationDocument({ random: seededRandom(1), send: () => {}, keep: () => {} });
  let offered: readonly string[] = ["carries-unknown"];
  const registry = createServiceRegistry(store, "m0", undefined, {
    lacking: (capability) => (offered.includes(capability) ? undefined : "m1"),
  });
  const listed = { ...SPEC, allowedSources: ["198.51.100.0/24"] };
  assert.throws(() => registry.create(listed), {
    code: "SERVICE_NEEDS_UPGRADE",
    message: /needs allowed-sources, which m1/,
  });
  assert.deepEqual(store.services(), []);
  registry.create(SPEC);
  assert.throws(() => registry.replace("sctp/203.0.113.1:38412", listed), { code: "SERVICE_NEEDS_UPGRADE" });
  offered = [...offered, "allowed-sources"];
  registry.replace("sctp/203.0.113.1:38412", listed);
  assert.deepEqual(store.service("sctp/203.0.113.1:38412")?.allowedSources, ["198.51.100.0/24"]);
  // One way back, whoever lacks it by then.
  offered = [];
  registry.replace("sctp/203.0.113.1:38412", SPEC);
  assert.equal(store.service("sctp/203.0.113.1:38412")?.allowedSources, undefined);
});

test("what services of TCP and UDP say since needs members that know it", () => {
  const store = new ConfigurationDocument({ random: seededRandom(1), send: () => {}, keep: () => {} });
  let missing = "";
  const registry = createServiceRegistry(store, "m0", undefined, {
    lacking: (capability) => (capability === missing ? "m1" : undefined),
  });
  const tcp = { ...SPEC, protocol: "tcp" as const };
  const udp = { ...SPEC, protocol: "udp" as const, selection: "hash" as const };
  const check = { kind: "http" as const, status: [200] };
  for (const [capability, spec] of [
    ["proxy-protocol", { ...tcp, proxyProtocol: true }],
    ["stateless-udp", { ...udp, stateless: true }],
    ["stateless-tcp", { ...tcp, stateless: true }],
    ["source-addresses", { ...tcp, sourceAddresses: ["203.0.113.77"] }],
    ["health-status", { ...SPEC, healthCheck: check }],
    ["health-status", { ...SPEC, endpoints: [{ ...ENDPOINT, healthCheck: check }] }],
  ] as const) {
    missing = capability;
    assert.throws(() => registry.put(spec as ServiceSpec), {
      code: "SERVICE_NEEDS_UPGRADE",
      message: new RegExp(`needs ${capability}, which m1`),
    });
    missing = "";
    registry.put(spec as ServiceSpec);
    assert.deepEqual(capabilitiesOf(registry.find(`${spec.protocol}/203.0.113.1:38412`)).at(-1), capability);
  }
});

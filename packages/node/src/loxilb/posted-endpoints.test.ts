import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@holdfast/model";
import { ConfigurationDocument } from "@holdfast/sync/testing";
import { createServiceRegistry } from "../services/registry.ts";
import { PostedEndpoints, parsePostedEndpoint, postedHosts } from "./posted-endpoints.ts";

test("posted endpoints stand in the replicated configuration; their hosts are asked while no service has them", () => {
  const store = new ConfigurationDocument({ random: seededRandom(1), send: () => {}, keep: () => {} });
  const registry = createServiceRegistry(store, "m0");
  const posted = new PostedEndpoints(store, registry);
  posted.set(
    parsePostedEndpoint({ hostname: "192.0.2.1", probetype: "http", probeport: 80, probereq: "up" }),
  );
  posted.set(parsePostedEndpoint({ hostname: "192.0.2.2" }));
  assert.deepEqual(postedHosts(store, registry.list()), [
    { address: "192.0.2.1", port: 80, check: { kind: "http", port: 80, path: "/up" } },
    { address: "192.0.2.2", port: 0, check: { kind: "ping" } },
  ]);
  registry.put({
    name: "",
    protocol: "sctp",
    vips: ["203.0.113.1"],
    port: 5,
    selection: "roundRobin",
    endpoints: [{ address: "192.0.2.1", port: 5, weight: 1, state: "active" }],
    idleTimeoutS: 900,
    restartNewAddresses: "abort",
    clientPrefixes: [],
    withdrawWhenDown: false,
    endpointRemoval: { mode: "drain", graceS: 300 },
  });
  assert.deepEqual(
    postedHosts(store, registry.list()).map(({ address }) => address),
    ["192.0.2.2"],
  );
  // What another member may have written is not believed.
  store.setNote("loxilb/endpoint|x", { hostName: "nobody", name: "x", probeType: "ping" });
  assert.equal(posted.list().length, 2);
});

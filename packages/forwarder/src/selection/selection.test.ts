import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address, Endpoint, SelectionMode } from "@holdfast/model";
import { ClientHost, EndpointHost } from "../testing/hosts.ts";
import { CLIENT, Rig, SERVICE_PORT, serviceOf, VIPS } from "../testing/rig.ts";
import { type SelectionInput, selectEndpoint } from "./selection.ts";

const endpoint = (n: number, weight = 1, state: Endpoint["state"] = "active"): Endpoint => ({
  address: `192.0.2.${n}`,
  port: 7_000,
  weight,
  state,
});

function input(
  selection: SelectionMode,
  endpoints: readonly Endpoint[],
  changes: Partial<SelectionInput> = {},
): SelectionInput {
  return {
    service: serviceOf({ selection, endpoints }),
    clientAddresses: ["10.0.0.1"],
    isUp: () => true,
    countOf: () => 0,
    persisted: () => undefined,
    turn: 0,
    ...changes,
  };
}

test("never one that drains, has no weight, or is down; one that did not answer only when there is no other", () => {
  for (const mode of ["leastAssociations", "roundRobin", "weighted", "hash", "persist"] as const) {
    const endpoints = [endpoint(1, 1, "drain"), endpoint(2, 0), endpoint(3), endpoint(4)];
    for (let turn = 0; turn < 8; turn++) {
      const chosen = selectEndpoint(input(mode, endpoints, { turn, isUp: (e) => e.address !== "192.0.2.3" }));
      assert.equal(chosen?.address, "192.0.2.4", mode);
      const avoid = new Set([endpoints[3] as Endpoint]);
      assert.equal(selectEndpoint(input(mode, endpoints, { turn, avoid }))?.address, "192.0.2.3");
      const only = selectEndpoint(
        input(mode, endpoints, { turn, avoid, isUp: (e) => e.address !== "192.0.2.3" }),
      );
      assert.equal(only?.address, "192.0.2.4");
    }
    assert.equal(selectEndpoint(input(mode, endpoints, { isUp: () => false })), undefined);
  }
});

test("least associations follows the weights", () => {
  const endpoints = [endpoint(1, 1), endpoint(2, 3)];
  const counts = new Map<string, number>();
  for (let turn = 0; turn < 400; turn++) {
    const chosen = selectEndpoint(
      input("leastAssociations", endpoints, { turn, countOf: (e) => counts.get(e.address) ?? 0 }),
    );
    assert.ok(chosen);
    counts.set(chosen.address, (counts.get(chosen.address) ?? 0) + 1);
  }
  assert.deepEqual([counts.get("192.0.2.1"), counts.get("192.0.2.2")], [100, 300]);
});

test("round robin takes turns; weighted takes shares, spread out", () => {
  const endpoints = [endpoint(1, 5), endpoint(2, 1), endpoint(3, 1)];
  const turns = (mode: SelectionMode) =>
    Array.from({ length: 70 }, (_, turn) => selectEndpoint(input(mode, endpoints, { turn }))?.address);
  const count = (list: (string | undefined)[], address: Address) => list.filter((a) => a === address).length;
  const even = turns("roundRobin");
  assert.deepEqual(even.slice(0, 4), ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.1"]);
  const shares = turns("weighted");
  assert.deepEqual(
    endpoints.map((e) => count(shares, e.address)),
    [50, 10, 10],
  );
  assert.ok(count(shares.slice(0, 7), "192.0.2.2") === 1);
});

test("hash: an endpoint that leaves moves its own clients only, shares follow weights", () => {
  const endpoints = [endpoint(1), endpoint(2), endpoint(3, 2)];
  const of = (client: Address, among: readonly Endpoint[]) =>
    selectEndpoint(input("hash", among, { clientAddresses: [client] }))?.address;
  const counts = new Map<string, number>();
  for (let i = 0; i < 4_000; i++) {
    const client: Address = `10.${i >> 8}.${i & 255}.7`;
    const before = of(client, endpoints) as string;
    counts.set(before, (counts.get(before) ?? 0) + 1);
    const after = of(client, endpoints.slice(0, 2));
    if (before !== "192.0.2.3") assert.equal(after, before);
  }
  assert.ok(Math.abs((counts.get("192.0.2.3") ?? 0) - 2_000) < 200);
});

test("persist: any address of the client leads to the endpoint that one of them has", () => {
  const endpoints = [endpoint(1), endpoint(2), endpoint(3)];
  for (const home of endpoints) {
    const chosen = selectEndpoint(
      input("persist", endpoints, {
        clientAddresses: ["10.0.0.1", "10.0.0.2"],
        persisted: (client) => (client === "10.0.0.2" ? home : undefined),
      }),
    );
    assert.equal(chosen?.address, home.address);
  }
});

test("INITs that come at once are spread, too: embryos count until they are over", async () => {
  const rig = new Rig({ services: [serviceOf({ endpoints: [endpoint(1), endpoint(2)] })] });
  const counts = new Map<string, number>();
  for (let port = 36_000; port < 36_100; port++) {
    const client = new ClientHost(port, SERVICE_PORT, port);
    const seen = await rig.one(client.init({ source: CLIENT, destination: VIPS[0] as Address }));
    counts.set(seen.destination, (counts.get(seen.destination) ?? 0) + 1);
  }
  assert.deepEqual([...counts.values()], [50, 50]);
  rig.clock.advance(20_000);
  assert.equal(rig.forwarder.counters().embryos, 0);
  // One that is established counts once.
  const first = new EndpointHost(7_000, 0, 0x77);
  const client = new ClientHost(40_000, SERVICE_PORT, 1);
  const init = await rig.one(client.init({ source: CLIENT, destination: VIPS[0] as Address }));
  client.acceptInitAck(await rig.one(first.initAck(init)));
  await rig.one(client.cookieEcho({ source: CLIENT, destination: VIPS[0] as Address }));
  await rig.one(first.cookieAck({ source: init.destination, destination: init.source }));
  const next: string[] = [];
  for (let port = 41_000; port < 41_003; port++) {
    const seen = await rig.one(
      new ClientHost(port, SERVICE_PORT, port).init({ source: CLIENT, destination: VIPS[0] as Address }),
    );
    next.push(seen.destination);
  }
  assert.equal(next.filter((address) => address === init.destination).length, 1);
});

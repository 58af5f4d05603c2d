import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, type Service } from "@holdfast/model";
import { endpointsNetwork, type Topology } from "./topology.ts";

const interfaceOf = (name: string, index: number) => ({
  name,
  network: name,
  roles: ["core"] as const,
  index,
});
const systemOf = (name: string, index: number, address: Address) => [
  name,
  {
    name,
    index,
    mac: new Uint8Array(6),
    addresses: [{ address, prefix: { bytes: addressBytes(address), bitCount: 24 } }],
  },
];

test("the network of a service whose last endpoint leaves is that endpoint's: its associations live on", () => {
  const topology = {
    interfaces: [interfaceOf("core-a", 1), interfaceOf("core-b", 2)],
    system: new Map([systemOf("core-a", 1, "10.1.0.1"), systemOf("core-b", 2, "10.2.0.1")] as never),
  } as unknown as Topology;
  const endpoint = { address: "10.2.0.9", port: 1, weight: 1, state: "active" } as const;
  const service = { endpoints: [], leaving: [{ ...endpoint, sinceMs: 1, graceMs: 2 }] } as unknown as Service;
  assert.equal(endpointsNetwork({ ...service, endpoints: [endpoint] }, topology), "core-b");
  assert.equal(endpointsNetwork(service, topology), "core-b");
});

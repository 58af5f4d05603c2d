import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAddress, parsePrefix } from "@holdfast/model";
import { parseConfiguration } from "../config/load.ts";
import { workingInterfaces } from "../network/interfaces.ts";
import { listedInFile, placedMembers } from "./member-list.ts";
import type { Topology } from "./topology.ts";

/** A machine with one interface of that name. */
function machineOf(name: string, address: string, yaml = "") {
  const { configuration } = parseConfiguration(`member: { name: m1 }\n${yaml}`, "test.yaml");
  const found = { address: parseAddress(address), prefix: parsePrefix(`${address}/24`) };
  const topology = {
    interfaces: workingInterfaces(configuration, [name]),
    system: new Map([[name, { name, addresses: [found] }]]),
  } as unknown as Topology;
  return { configuration, topology };
}

test("the first member of a cluster is found by one whose interfaces have other names", () => {
  const m1 = machineOf("eth0", "10.8.0.1");
  const listed = listedInFile(m1.configuration, m1.topology);
  const networkAt = ({ topology }: ReturnType<typeof machineOf>) =>
    placedMembers(listed, topology)[0]?.addresses[0]?.network;
  assert.equal(networkAt(m1), "eth0");
  assert.equal(networkAt(machineOf("ens18", "10.8.0.4")), "ens18");
});

test("a network that the file names is named to others", () => {
  const m1 = machineOf("eth0", "10.8.0.1", "interfaces: [{ name: eth0, role: core, network: inside }]");
  assert.deepEqual(listedInFile(m1.configuration, m1.topology)[0]?.addresses, [
    { network: "inside", address: "10.8.0.1" },
  ]);
});

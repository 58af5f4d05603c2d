// Which interfaces of a Kubernetes node are its own.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { isNodesOwn } from "./interfaces.ts";

const is = (kind: string | undefined, addresses: Address[], ports: (string | undefined)[] = []) =>
  isNodesOwn(
    { kind },
    addresses,
    ports.map((each) => ({ kind: each })),
  );

test("a node's cards, bonds and VLANs are its own, pods' ends, tunnels and pods' bridges are not", () => {
  assert.equal(is(undefined, ["198.18.2.11", "fe80::1"]), true, "a card");
  assert.equal(is("bond", ["198.18.2.11"]), true);
  assert.equal(is("vlan", ["2001:db8::11"]), true);
  assert.equal(is("veth", ["172.18.0.3"]), true, "a node that is a container");
  assert.equal(is("bridge", ["198.18.2.11"], [undefined, "tun"]), true, "a card's bridge, with guests");
  assert.equal(is("veth", ["fe80::1"]), false, "Calico's cali…");
  assert.equal(is("veth", ["169.254.1.1"]), false);
  assert.equal(is("veth", []), false, "Cilium's lxc…");
  assert.equal(is("bridge", ["10.244.1.1"], ["veth", "veth"]), false, "cni0");
  assert.equal(is("bridge", ["10.244.1.1"]), false, "cni0 before the first pod");
  assert.equal(is("vxlan", ["10.244.1.0"]), false, "flannel.1");
  assert.equal(is("wireguard", ["10.244.1.0"]), false);
  assert.equal(is("dummy", ["10.96.0.10"]), false, "nodelocaldns, kube-ipvs0");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address, Service } from "@holdfast/model";
import { instanceMaster } from "./high-availability.ts";

const service = (name: string, ...vips: string[]) => ({ id: vips[0], name, vips }) as unknown as Service;

test("an instance has one master: the owner of its least primary VIP, by address and not by text", () => {
  const services = [
    service("default_a:llb-inst0", "100.0.0.1", "9.0.0.9"),
    service("by hand", "20.0.0.1"),
    service("default_c:llb-inst1", "9.0.0.1"),
  ];
  const owners = new Map<Address, string>([
    ["100.0.0.1", "a"],
    ["9.0.0.9", "b"],
    ["20.0.0.1", "c"],
    ["9.0.0.1", "d"],
  ]);
  assert.deepEqual(instanceMaster("llb-inst0", services, owners), { member: "c", vip: "20.0.0.1" });
  assert.deepEqual(instanceMaster("llb-inst1", services, owners), { member: "d", vip: "9.0.0.1" });
  assert.deepEqual(instanceMaster("llb-inst7", services, owners), { member: "d", vip: "9.0.0.1" });
  owners.delete("20.0.0.1");
  assert.deepEqual(instanceMaster("llb-inst0", services, owners), { member: "a", vip: "100.0.0.1" });
  assert.equal(instanceMaster("llb-inst0", services, new Map()), undefined);
  assert.equal(instanceMaster("llb-inst0", [], owners), undefined);
});

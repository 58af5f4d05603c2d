// An INIT goes to an endpoint's address of its own family: what is up of the other one is of no use to it.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { CLIENT, ENDPOINT, ENDPOINT_PORT, OTHER_ENDPOINT, Rig, serviceOf, VIPS } from "../../testing/rig.ts";
import { endpointAt, newClient } from "../../testing/usual.ts";

const VIP4 = VIPS[0] as Address;
const VIP6: Address = "2001:db8:a::1";
const CLIENT6: Address = "2001:db8:c::10";
const FIRST6: Address = "2001:db8:e::20";
const SECOND6: Address = "2001:db8:e::21";

test("an INIT goes to an endpoint that is up in its family, and where none is, to one that is up at all", async () => {
  const endpoints = [
    { ...endpointAt(ENDPOINT), addresses: [ENDPOINT, FIRST6] },
    { ...endpointAt(OTHER_ENDPOINT), addresses: [OTHER_ENDPOINT, SECOND6] },
  ];
  const rig = new Rig({ services: [serviceOf({ vips: [VIP4, VIP6], endpoints })] });
  const say = (address: Address, verdict: "up" | "down") =>
    rig.forwarder.setVerdict({ address, port: ENDPOINT_PORT }, verdict, "test");
  const met = async (source: Address, destination: Address, first: number) => {
    const found = new Set<Address>();
    for (let n = first; n < first + 8; n++)
      found.add((await rig.one(newClient(n).init({ source, destination }))).destination);
    return found;
  };
  say(FIRST6, "down");
  assert.deepEqual(await met(CLIENT6, VIP6, 1), new Set([SECOND6]));
  assert.ok((await met(CLIENT, VIP4, 101)).has(ENDPOINT));
  say(SECOND6, "down");
  say(OTHER_ENDPOINT, "down");
  assert.deepEqual(await met(CLIENT6, VIP6, 201), new Set([FIRST6]));
});

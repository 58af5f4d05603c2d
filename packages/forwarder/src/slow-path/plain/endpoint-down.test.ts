// Whose endpoint is down goes to another that is up, in its own family, and nobody goes for nothing.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Address, type Endpoint, PROTOCOL_TCP, PROTOCOL_UDP } from "@holdfast/model";
import {
  CLIENT,
  Connection,
  type Ends,
  PlainCluster,
  PlainRig,
  PORT,
  plainService,
  SYN,
  udpPacket,
  VIP,
} from "../../testing/plain.ts";

const VIP6: Address = "2001:db8:a::1";
const CLIENT6: Address = "2001:db8:c::10";
const A: Address = "192.0.2.20";
const B: Address = "192.0.2.21";
const A6: Address = "2001:db8:e::20";
const B6: Address = "2001:db8:e::21";
const endpointOf = (address: Address, addresses?: readonly Address[]): Endpoint => ({
  ...{ address, port: 8_080, weight: 1, state: "active" },
  ...(addresses !== undefined && { addresses }),
});
const ends: Ends = { source: CLIENT, sourcePort: 40_000, destination: VIP, destinationPort: PORT };
const ends6: Ends = { ...ends, source: CLIENT6, destination: VIP6 };

function verdict(rig: PlainRig, address: Address, is: "up" | "down", protocol = PROTOCOL_UDP): void {
  const side = rig.forwarder.plain.room.sides.get(protocol);
  side?.health.setOwn({ address, port: 8_080 }, is, "test", rig.clock.nowMs());
}

describe("an endpoint that is down", () => {
  test("for one family alone is nobody's of that family, and as before for the other", async () => {
    const both = {
      vips: [VIP, VIP6],
      endpoints: [endpointOf(A, [A, A6]), endpointOf(B, [B, B6])],
    };
    const services = [plainService(PROTOCOL_UDP, both), plainService(PROTOCOL_TCP, both)];
    const rig = new PlainRig({ services });
    for (const protocol of [PROTOCOL_UDP, PROTOCOL_TCP]) verdict(rig, A6, "down", protocol);
    const met = { udp: new Set<Address>(), tcp: new Set<Address>(), udp4: new Set<Address>() };
    for (let sourcePort = 40_000; sourcePort < 40_008; sourcePort++) {
      met.udp.add((await rig.one(udpPacket({ ...ends6, sourcePort }, "?"))).destination);
      met.udp4.add((await rig.one(udpPacket({ ...ends, sourcePort }, "?"))).destination);
      met.tcp.add((await rig.one(new Connection({ ...ends6, sourcePort }).up(SYN))).destination);
    }
    assert.deepEqual([[...met.udp], [...met.tcp]], [[B6], [B6]]);
    assert.ok(met.udp4.has(A));
  });

  test("keeps its flows where no other is up in their family", async () => {
    const endpoints = [endpointOf(A, [A, A6]), endpointOf(B)];
    const rig = new PlainRig({ services: [plainService(PROTOCOL_UDP, { vips: [VIP, VIP6], endpoints })] });
    const first = await rig.one(udpPacket(ends6, "?"));
    verdict(rig, A6, "down");
    const { destination, sourcePort } = await rig.one(udpPacket(ends6, "?"));
    assert.deepEqual([destination, sourcePort], [A6, first.sourcePort]);
  });

  test("loses its flows when another one is back, where none was before", async () => {
    const endpoints = [endpointOf(A), endpointOf(B)];
    const rig = new PlainRig({ services: [plainService(PROTOCOL_UDP, { endpoints })] });
    const first = await rig.one(udpPacket(ends, "?"));
    const other = (first.destination === A ? B : A) as Address;
    verdict(rig, other, "down");
    verdict(rig, first.destination, "down");
    assert.equal((await rig.one(udpPacket(ends, "?"))).destination, first.destination);
    verdict(rig, other, "up");
    assert.equal((await rig.one(udpPacket(ends, "?"))).destination, other);
  });

  test("is so for the member that owns the VIP; another's word moves nobody until it owns it", async () => {
    const endpoints = [endpointOf(A), endpointOf(B)];
    const services = [plainService(PROTOCOL_UDP, { endpoints, replicate: "always" })];
    const cluster = new PlainCluster(2, { services });
    const [owner, other] = [cluster.rig(0), cluster.rig(1)];
    owner.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    other.forwarder.setOwnership([{ vip: VIP, owned: false }]);
    const first = await owner.one(udpPacket(ends, "?"));
    verdict(other, first.destination, "down");
    const next = await owner.one(udpPacket(ends, "?"));
    assert.deepEqual([next.destination, next.sourcePort], [first.destination, first.sourcePort]);
    owner.forwarder.setOwnership([{ vip: VIP, owned: false }]);
    other.forwarder.setOwnership([{ vip: VIP, owned: true }]);
    assert.notEqual((await other.one(udpPacket(ends, "?"))).destination, first.destination);
  });
});

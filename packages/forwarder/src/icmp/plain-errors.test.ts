import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import { encodeIp, fold, IpHeader, onesSum, PROTOCOL, read32, write16, write32 } from "@holdfast/sctp";
import type { PlainFlow } from "../fast-path/plain.ts";
import { reverseKey } from "../fast-path/reference/plain/entry.ts";
import { TCP_FLAG } from "../packet/plain/header.ts";
import { writePlainChecksum } from "../packet/plain/rewrite.ts";
import {
  CLIENT,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  settled,
  VIPS,
} from "../testing/rig.ts";
import { encodeIcmp } from "./own-errors.ts";

const VIP = VIPS[0] as Address;
const ROUTER: Address = "100.99.0.1";
const NAT_PORT = 51_000;
const HEADER_SIZE = 28;

function flows(protocol: number, shift = 0): { up: PlainFlow; down: PlainFlow } {
  const tcp = { windowScale: 0, shift };
  const up: PlainFlow = {
    key: {
      protocol,
      source: CLIENT,
      destination: VIP,
      sourcePort: CLIENT_PORT,
      destinationPort: SERVICE_PORT,
    },
    newSource: VIP,
    newDestination: ENDPOINT,
    newSourcePort: NAT_PORT,
    newDestinationPort: ENDPOINT_PORT,
    direction: "up",
    session: 9,
    handshake: false,
    learn: false,
    assured: true,
    ...(protocol === PROTOCOL.TCP && { tcp: { ...tcp, edges: { sequence: 1_000, acknowledged: 5_000 } } }),
  };
  const down: PlainFlow = {
    ...up,
    key: reverseKey(up),
    newSource: VIP,
    newDestination: CLIENT,
    newSourcePort: SERVICE_PORT,
    newDestinationPort: CLIENT_PORT,
    direction: "down",
    ...(protocol === PROTOCOL.TCP && { tcp: { ...tcp, edges: { sequence: 5_000, acknowledged: 1_000 } } }),
  };
  return { up, down };
}

function packetOn({ key }: PlainFlow, sequence = 1_000): Uint8Array {
  const payload = new Uint8Array(key.protocol === PROTOCOL.TCP ? 40 : 20);
  write16(payload, 0, key.sourcePort);
  write16(payload, 2, key.destinationPort);
  if (key.protocol === PROTOCOL.TCP) {
    write32(payload, 4, sequence);
    write32(payload, 8, sequence === 1_000 ? 5_000 : 1_000);
    payload[12] = 5 << 4;
    payload[13] = TCP_FLAG.ACK;
  } else write16(payload, 4, payload.length);
  const packet = encodeIp({
    source: addressBytes(key.source),
    destination: addressBytes(key.destination),
    payload,
    protocol: key.protocol,
  });
  const ip = new IpHeader();
  ip.read(packet);
  writePlainChecksum(packet, ip);
  return packet;
}

async function through(rig: Rig, packet: Uint8Array): Promise<Uint8Array[]> {
  rig.fastPath.inject(packet);
  await settled();
  return rig.fastPath.takeOutgoing().map((out) => out.packet);
}

function errorAbout(sent: Uint8Array, quoted = sent.length): Uint8Array {
  return encodeIcmp({
    version: 4,
    type: 3,
    code: 4,
    word: 1_280,
    source: addressBytes(ROUTER),
    destination: sent.subarray(12, 16),
    inner: sent.subarray(0, quoted),
  });
}

for (const [name, protocol] of [
  ["TCP", PROTOCOL.TCP],
  ["UDP", PROTOCOL.UDP],
] as const)
  for (const direction of ["up", "down"] as const)
    test(`${name}: an error about a packet ${direction} goes back as its sender knows it, and ends nothing`, async () => {
      const rig = new Rig();
      const shift = protocol === PROTOCOL.TCP ? 28 : 0;
      const both = flows(protocol, shift);
      for (const flow of [both.up, both.down]) assert.ok(rig.fastPath.plain.install(flow));
      const flow = both[direction];
      const packet = packetOn(flow, direction === "up" ? 1_000 : 5_000);
      const [sent] = await through(rig, packet);
      assert.ok(sent);
      // Whole, with a cut-off header, and with the eight bytes that are always there.
      for (const quoted of [sent.length, 36, HEADER_SIZE]) {
        const [error] = await through(rig, errorAbout(sent, quoted));
        assert.ok(error, `${quoted} bytes quoted`);
        const ip = new IpHeader();
        assert.equal(ip.read(error), undefined);
        assert.equal(addressFromBytes(error, 12, 4), flow.key.destination);
        assert.equal(addressFromBytes(error, 16, 4), flow.key.source);
        assert.equal(fold(onesSum(error, ip.payloadOffset, ip.end)), 0xffff);
        assert.equal(read32(error, ip.payloadOffset + 4), 1_280);
        const inner = error.slice(ip.payloadOffset + 8, ip.end);
        // But for the hop limit, and what depends on it.
        inner[8] = packet[8] as number;
        inner.set(packet.subarray(10, 12), 10);
        assert.deepEqual(Buffer.from(inner), Buffer.from(packet.subarray(0, quoted)));
      }
      assert.ok(rig.fastPath.plain.read(both.up.key) && rig.fastPath.plain.read(both.down.key));
      assert.equal(rig.event("icmp-translated"), 3);
    });

test("TCP: an error that quotes a number that is not in flight is dropped, and so is one about nobody", async () => {
  const rig = new Rig();
  const { up, down } = flows(PROTOCOL.TCP);
  for (const flow of [up, down]) assert.ok(rig.fastPath.plain.install(flow));
  const [sent] = await through(rig, packetOn(up));
  assert.ok(sent);
  const forged = sent.slice();
  write32(forged, 24, 1_000 - 1);
  assert.equal((await through(rig, errorAbout(forged))).length, 0);
  write32(forged, 24, 1_000 + 65_536);
  assert.equal((await through(rig, errorAbout(forged))).length, 0);
  assert.equal(rig.drops()["icmp-unproven"], 2);
  const stranger = sent.slice();
  write16(stranger, 20, NAT_PORT + 1);
  assert.equal((await through(rig, errorAbout(stranger))).length, 0);
  assert.equal(rig.drops()["icmp-unrelated"], 1);
  assert.equal((await through(rig, errorAbout(sent, 24))).length, 0);
});

test("an error whose checksum is wrong is dropped: passed on with a checksum of its own it would look right", async () => {
  const rig = new Rig();
  const { up, down } = flows(PROTOCOL.UDP);
  for (const flow of [up, down]) assert.ok(rig.fastPath.plain.install(flow));
  const [sent] = await through(rig, packetOn(up));
  assert.ok(sent);
  const broken = errorAbout(sent);
  broken[broken.length - 1] = (broken[broken.length - 1] as number) ^ 1;
  assert.equal((await through(rig, broken)).length, 0);
  assert.equal(rig.drops()["bad-checksum"], 1);
  assert.equal((await through(rig, errorAbout(sent))).length, 1);
});

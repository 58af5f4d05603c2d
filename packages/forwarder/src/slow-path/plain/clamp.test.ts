import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL_TCP } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import { IpHeader, read16 } from "@holdfast/sctp";
import { SimulatedFastPath } from "../../fast-path/simulated/simulated-fast-path.ts";
import { writePlainChecksum } from "../../packet/plain/rewrite.ts";
import { bytesOf } from "../../packet/translate.ts";
import { ACK, Connection, PlainRig, plainService, SERVER, SYN, segmentOf } from "../../testing/plain.ts";
import { settled } from "../../testing/rig.ts";

/** The packet with the option of a maximum segment size behind its header. */
function offering(packet: Uint8Array, mss: number): Uint8Array {
  const bytes = new Uint8Array(packet.length + 4);
  bytes.set(packet);
  bytes.set([2, 4, mss >>> 8, mss & 0xff], packet.length);
  bytes[3] = bytes.length;
  bytes[32] = (packet[32] as number) + (1 << 4);
  const ip = new IpHeader();
  ip.read(bytes);
  // Of the IP header as well.
  bytes.set([0, 0], 10);
  let sum = 0;
  for (let at = 0; at < 20; at += 2) sum += read16(bytes, at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  bytes.set([(~sum >>> 8) & 0xff, ~sum & 0xff], 10);
  writePlainChecksum(bytes, ip);
  return bytes;
}

async function through(rig: PlainRig, packet: Uint8Array): Promise<Uint8Array> {
  rig.fastPath.inject(packet);
  await settled();
  const [out] = rig.fastPath.takeOutgoing();
  assert.ok(out);
  // A wrong checksum throws.
  segmentOf(out.packet);
  return out.packet;
}

test("SYN and SYN-ACK offer no more than the smaller of both ways takes, and never more than they did", async () => {
  const clock = new ManualClock();
  const fastPath = new SimulatedFastPath({
    nowMs: () => clock.nowMs(),
    egress: (destination) => ({ mtu: Buffer.compare(destination, bytesOf(SERVER)) === 0 ? 1_400 : 1_500 }),
  });
  const rig = new PlainRig({ services: [plainService(PROTOCOL_TCP)], clock, fastPath });
  const connection = new Connection();
  const syn = await through(rig, offering(connection.up(SYN), 1_460));
  assert.equal(read16(syn, syn.length - 2), 1_360);
  connection.heard(segmentOf(syn));
  const synAck = await through(rig, offering(connection.down(SYN | ACK), 1_200));
  assert.equal(read16(synAck, synAck.length - 2), 1_200);
  assert.equal(rig.forwarder.counters().events.get("mss-clamped"), 1);
});

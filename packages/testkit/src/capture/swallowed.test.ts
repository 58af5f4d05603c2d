import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { encodeData } from "@holdfast/sctp";
import { sctpPacket } from "../packets/build.ts";
import { type CapturedPacket, readPacket } from "./packet.ts";
import { swallowedOf } from "./swallowed.ts";

const CLIENT = "198.18.1.10";
const VIP = "203.0.113.1";
const ENDPOINT = "198.19.0.100";

function captured(wallMs: number, source: Address, destination: Address, tsn: number): CapturedPacket {
  const ports = { sourcePort: 1000, destinationPort: 2000 };
  const packet = sctpPacket({ source, destination, ...ports }, 7, [
    encodeData({ tsn, data: new Uint8Array([1]) }),
  ]);
  const frame = new Uint8Array(14 + packet.length);
  frame[12] = 8;
  frame.set(packet, 14);
  return readPacket({ wallMs, bytes: frame }) as CapturedPacket;
}
const sent = (wallMs: number, tsn: number) => captured(wallMs, CLIENT, VIP, tsn);
const received = (wallMs: number, tsn: number) => captured(wallMs, VIP, ENDPOINT, tsn);

test("what reaches no other edge was swallowed, of a way that was used before and in the time alone", () => {
  const packets = [
    ...[sent(10, 1), received(11, 1)],
    ...[sent(110, 2), received(111, 2)],
    sent(120, 3),
    sent(300, 4),
  ];
  const lost = swallowedOf(packets, [VIP], 100, 200);
  assert.deepEqual(
    lost.map(({ wallMs }) => wallMs),
    [120],
  );
  assert.deepEqual(swallowedOf(packets.slice(2), [VIP], 100, 200), [], "nobody had used that way");
});

test("sent twice and received once is one lost", () => {
  const packets = [sent(10, 1), received(11, 1), sent(110, 2), sent(150, 2), received(151, 2)];
  assert.equal(swallowedOf(packets, [VIP], 100, 200).length, 1);
});

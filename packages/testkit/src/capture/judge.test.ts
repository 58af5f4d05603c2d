import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes } from "@holdfast/model";
import {
  encodeAbort,
  encodeAddress,
  encodeCookieEcho,
  encodeData,
  encodeInitAck,
  encodeParameter,
  PARAMETER,
} from "@holdfast/sctp";
import { sctpPacket } from "../packets/build.ts";
import { leaksOf, listedAddresses, ownAbortsOf, wrongChecksumsOf } from "./judge.ts";
import { type CapturedPacket, readPacket } from "./packet.ts";

const CLIENT = "198.18.1.10";
const VIP = "203.0.113.1";
const ENDPOINT = "198.19.0.100";

function captured(source: Address, destination: Address, tag: number, chunks: Uint8Array[]): CapturedPacket {
  const packet = sctpPacket({ source, destination, sourcePort: 1000, destinationPort: 2000 }, tag, chunks);
  const frame = new Uint8Array(14 + packet.length);
  frame[12] = 8;
  frame.set(packet, 14);
  return readPacket({ wallMs: 0, bytes: frame }) as CapturedPacket;
}

test("an address in a header, a list or a payload is a leak; one in a cookie is not", () => {
  const secret = addressBytes(CLIENT);
  const data = encodeData({ tsn: 1, data: new Uint8Array([1, 2, 3, ...secret, 4]) });
  const list = encodeInitAck({ initiateTag: 1, parameters: [encodeAddress(secret)] });
  const cookie = encodeParameter(PARAMETER.STATE_COOKIE, new Uint8Array([9, ...secret]));
  const leaks = [
    captured(CLIENT, ENDPOINT, 1, []),
    captured(VIP, ENDPOINT, 1, [data]),
    captured(VIP, ENDPOINT, 1, [list]),
  ];
  const fine = [
    captured(VIP, ENDPOINT, 1, [encodeInitAck({ initiateTag: 1, parameters: [cookie] })]),
    captured(VIP, ENDPOINT, 1, [encodeCookieEcho(new Uint8Array([9, ...secret]))]),
  ];
  assert.deepEqual(leaksOf([...leaks, ...fine], [CLIENT]), leaks);
  // Beside a cookie an address is a leak as ever.
  assert.equal(
    leaksOf([captured(VIP, ENDPOINT, 1, [encodeCookieEcho(new Uint8Array(5)), data])], [CLIENT]).length,
    1,
  );
  assert.deepEqual(listedAddresses(leaks[2] as CapturedPacket), [CLIENT]);
});

test("an ABORT is Holdfast's own when neither side sent one with its tag", () => {
  const relayed = [captured(ENDPOINT, VIP, 7, [encodeAbort()]), captured(VIP, CLIENT, 7, [encodeAbort()])];
  const own = captured(VIP, CLIENT, 8, [encodeData({ tsn: 1, data: new Uint8Array(1) }), encodeAbort()]);
  assert.deepEqual(ownAbortsOf([...relayed, own], [VIP]), [own]);
  // An answer to what nobody knows reflects a tag that was never relayed; one that was belongs to an
  // association.
  const data = [encodeData({ tsn: 1, data: new Uint8Array(1) })];
  const stranger = [
    captured(CLIENT, VIP, 9, data),
    captured(VIP, CLIENT, 9, [encodeAbort({ reflected: true })]),
  ];
  assert.deepEqual(ownAbortsOf(stranger, [VIP]), []);
  assert.deepEqual(ownAbortsOf([captured(VIP, ENDPOINT, 9, data), ...stranger], [VIP]), [stranger[1]]);
});

test("a wrong checksum is found", () => {
  const good = captured(VIP, CLIENT, 8, [encodeAbort()]);
  const bad = captured(VIP, CLIENT, 8, [encodeAbort()]);
  const bytes = bad.sctp?.bytes as Uint8Array;
  bytes[9] = (bytes[9] as number) ^ 1;
  assert.deepEqual(wrongChecksumsOf([good, bad]), [bad]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { write16 } from "../wire/tlv.ts";
import { encodeIp } from "./build.ts";
import { applyDelta, checksumDelta, internetChecksum } from "./checksum.ts";
import { IpHeader, PROTOCOL } from "./header.ts";

const A = Uint8Array.of(10, 1, 0, 10);
const B = Uint8Array.of(203, 0, 113, 1);
const A6 = Uint8Array.from({ length: 16 }, (_, i) => i);
const B6 = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 - i);

test("what is built is read back", () => {
  const header = new IpHeader();
  const four = encodeIp({
    source: A,
    destination: B,
    payload: new Uint8Array(9),
    trafficClass: 0xba,
    hopLimit: 7,
  });
  assert.equal(header.read(four), undefined);
  assert.deepEqual(
    [header.version, header.payloadOffset, header.end, header.protocol, header.hopLimit, header.trafficClass],
    [4, 20, 29, PROTOCOL.SCTP, 7, 0xba],
  );
  assert.ok(header.dontFragment && !header.fragment);
  assert.equal(internetChecksum(four, 0, 20), 0);
  const six = encodeIp({
    source: A6,
    destination: B6,
    payload: new Uint8Array(9),
    trafficClass: 0xba,
    flowLabel: 0xabcde,
  });
  assert.equal(header.read(six), undefined);
  assert.deepEqual(
    [header.version, header.payloadOffset, header.end, header.trafficClass],
    [6, 40, 49, 0xba],
  );
  assert.deepEqual(six.subarray(header.destinationOffset, header.destinationOffset + 16), B6);
});

test("IPv4: bytes behind the total length are the link layer's; lies are refused", () => {
  const header = new IpHeader();
  const packet = encodeIp({ source: A, destination: B, payload: new Uint8Array(9) });
  const frame = new Uint8Array(60);
  frame.set(packet);
  assert.equal(header.read(frame), undefined);
  assert.equal(header.end, 29);
  assert.equal(header.read(packet, 28), "ip-total-length");
  assert.equal(header.read(packet, 19), "ip-too-short");
  assert.equal(header.read(new Uint8Array(0)), "ip-too-short");
  frame[0] = 0x44;
  assert.equal(header.read(frame), "ip-header-length");
  frame[0] = 0x75;
  assert.equal(header.read(frame), "ip-version");
  frame.set(packet);
  write16(frame, 6, 0x2000);
  assert.equal(header.read(frame), undefined);
  assert.ok(header.fragment && header.moreFragments && !header.dontFragment);
  write16(frame, 6, 0x0003);
  header.read(frame);
  assert.deepEqual([header.fragment, header.fragmentOffset], [true, 24]);
});

test("IPv6 extension headers are walked, bounded", () => {
  const header = new IpHeader();
  const six = (next: number, payload: number[]) =>
    encodeIp({ source: A6, destination: B6, protocol: next, payload: Uint8Array.from(payload) });
  const options = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0];
  assert.equal(header.read(six(0, [...options(60), ...options(132), 1, 2])), undefined);
  assert.deepEqual([header.protocol, header.payloadOffset, header.fragment], [132, 56, false]);
  assert.equal(header.read(six(44, [132, 0, 0, 1, 0, 0, 0, 9, 1, 2])), undefined);
  assert.deepEqual([header.fragment, header.identification, header.protocol], [true, 9, 132]);
  // Payload of a later fragment is not a header, whatever its first byte says.
  assert.equal(header.read(six(44, [0, 0, 0, 8, 0, 0, 0, 9, 1, 2])), undefined);
  assert.deepEqual([header.fragmentOffset, header.payloadOffset], [8, 48]);
  assert.equal(header.read(six(0, [132, 1, 0, 0, 0, 0, 0, 0])), "ip-extension-truncated");
  assert.equal(header.read(six(0, [132, 0, 0])), "ip-extension-truncated");
  assert.equal(header.read(six(0, Array(7).fill(options(0)).flat())), "ip-extension-count");
});

test("the incremental checksum equals the recomputed one, zero included", () => {
  for (let seed = 0; seed < 65_536; seed += 37) {
    const packet = encodeIp({ source: A, destination: B, payload: new Uint8Array(0), identification: seed });
    const old = packet.slice(12, 20);
    packet.set([192, 0, 2, seed & 0xff, 198, 51, seed >>> 8, 7], 12);
    const field = ((packet[10] as number) << 8) | (packet[11] as number);
    write16(packet, 10, applyDelta(field, checksumDelta(old, packet.subarray(12, 20))));
    assert.equal(internetChecksum(packet, 0, 20), 0);
  }
});

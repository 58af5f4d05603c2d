import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyChecksum } from "../checksum/crc32c.ts";
import {
  encodeAbort,
  encodeAddress,
  encodeError,
  encodeRestartWithNewAddresses,
  encodeSack,
  encodeUnresolvableAddress,
  encodeUserInitiatedAbort,
} from "../encode/chunks.ts";
import { encodeChunk, encodePacket, encodeParameter } from "../encode/packet.ts";
import { isMalformed } from "../wire/malformed.ts";
import { CHUNK, PARAMETER } from "../wire/numbers.ts";
import { type Packet, parsePacket } from "../wire/packet.ts";
import { carriesCauseWithAddresses, filterErrorCauses } from "./error-causes.ts";

const vip = Uint8Array.of(203, 0, 113, 1);
const client = Uint8Array.of(10, 1, 0, 10);
const client6 = Uint8Array.from({ length: 16 }, (_, i) => 0x20 + i);
const isVip = (address: Uint8Array) => String(address) === String(vip);
const ports = { sourcePort: 5, destinationPort: 6, verificationTag: 7 };

function packetOf(chunks: Uint8Array[]): Packet {
  const packet = parsePacket(encodePacket({ ...ports, chunks }));
  assert.ok(!isMalformed(packet));
  return packet;
}

function filtered(chunks: Uint8Array[]): Uint8Array {
  const bytes = filterErrorCauses(packetOf(chunks), isVip);
  assert.ok(!isMalformed(bytes));
  assert.ok(verifyChecksum(bytes, 0, bytes.length));
  return bytes;
}

test("foreign addresses leave cause 11, the VIPs stay", () => {
  const chunks = [
    encodeSack(1),
    encodeAbort({ causes: [encodeRestartWithNewAddresses([client, vip, client6])] }),
  ];
  assert.ok(carriesCauseWithAddresses(packetOf(chunks)));
  const expected = encodePacket({
    ...ports,
    chunks: [encodeSack(1), encodeAbort({ causes: [encodeRestartWithNewAddresses([vip])] })],
  });
  assert.deepEqual(filtered(chunks), expected);
});

test("a cause that loses everything goes, its neighbours stay", () => {
  const keep = encodeUserInitiatedAbort("bye now");
  const hostName = encodeParameter(PARAMETER.HOST_NAME, new TextEncoder().encode("client.example"));
  const causes = [
    encodeUnresolvableAddress(hostName),
    keep,
    encodeUnresolvableAddress(encodeAddress(client)),
  ];
  const expected = packetOf([encodeError([keep])]);
  const result = parsePacket(filtered([encodeError(causes)])) as Packet;
  assert.deepEqual(
    result.bytes.subarray(16, 16 + keep.length),
    expected.bytes.subarray(16, 16 + keep.length),
  );
  assert.equal(result.chunks.length, 1);
  const all = parsePacket(filtered([encodeAbort({ reflected: true, causes: causes.slice(2) })])) as Packet;
  assert.deepEqual([all.chunks[0]?.length, all.chunks[0]?.flags], [4, 1]);
});

test("other packets need no filter, unreadable causes are refused", () => {
  assert.ok(!carriesCauseWithAddresses(packetOf([encodeSack(1), encodeAbort()])));
  const broken = packetOf([encodeChunk(CHUNK.ABORT, 0, Uint8Array.of(0, 5, 0, 99))]);
  const result = filterErrorCauses(broken, isVip);
  assert.ok(isMalformed(result));
  assert.equal(result.malformed, "cause-overrun");
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "@holdfast/model";
import { encodeIp, IpHeader, read16, write16, write32 } from "@holdfast/sctp";
import { bytesOf } from "../translate.ts";
import { PlainHeader } from "./header.ts";
import { partsOf } from "./super-packet.ts";

const ADDRESSES = {
  IPv4: ["100.80.1.10", "203.0.113.1"],
  IPv6: ["2001:db8::10", "2001:db8:a::1"],
} as const;
const [FIN, PSH, ACK, CWR] = [1, 8, 16, 128];
const SIZE = 1_000;
const TEXT = Array.from({ length: 2_500 }, (_, i) => String.fromCharCode(97 + (i % 26))).join("");

function superPacket(family: keyof typeof ADDRESSES, protocol: number, sequence = 0): Uint8Array {
  const [source, destination] = ADDRESSES[family];
  const headerSize = protocol === PROTOCOL_TCP ? 32 : 8;
  const payload = new Uint8Array(headerSize + TEXT.length);
  write16(payload, 0, 40_000);
  write16(payload, 2, 80);
  if (protocol === PROTOCOL_TCP) {
    write32(payload, 4, sequence);
    payload.set([headerSize << 2, FIN | PSH | ACK | CWR], 12);
    // A time stamp stands in every part.
    payload.set([1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8], 20);
  } else write16(payload, 4, payload.length);
  payload.set(Buffer.from(TEXT), headerSize);
  return encodeIp({
    ...{ source: bytesOf(source), destination: bytesOf(destination), payload, protocol },
    ...(family === "IPv4" && { identification: 0xffff }),
  });
}

function readPart(bytes: Uint8Array) {
  const [ip, header] = [new IpHeader(), new PlainHeader()];
  assert.equal(ip.read(bytes), undefined);
  assert.equal(ip.end, bytes.length);
  assert.equal(header.read(bytes, ip), undefined);
  const { start, headerSize, sequence } = header;
  const text = Buffer.from(bytes.subarray(start + headerSize)).toString();
  return { ip, header, sequence, text, options: [...bytes.subarray(start + 20, start + headerSize)] };
}

for (const family of ["IPv4", "IPv6"] as const) {
  test(`${family}: datagrams that were put together are as many again`, () => {
    const bytes = superPacket(family, PROTOCOL_UDP);
    const ip = new IpHeader();
    ip.read(bytes);
    const parts = partsOf(bytes, ip, SIZE);
    assert.deepEqual(
      parts.map((part) => readPart(part).text),
      [TEXT.slice(0, SIZE), TEXT.slice(SIZE, 2 * SIZE), TEXT.slice(2 * SIZE)],
    );
    if (family === "IPv4")
      assert.deepEqual(
        parts.map((part) => read16(part, 4)),
        [0xffff, 0, 1],
      );
  });

  test(`${family}: segments have their own numbers, also around 2^32; a FIN is the last one's`, () => {
    const bytes = superPacket(family, PROTOCOL_TCP, 0xffff_fe00);
    const ip = new IpHeader();
    ip.read(bytes);
    const parts = partsOf(bytes, ip, SIZE).map((part) => ({ ...readPart(part), bytes: part }));
    assert.deepEqual(
      parts.map(({ sequence }) => sequence),
      [0xffff_fe00, 0x1e8, 0x5d0],
    );
    assert.equal(parts.map(({ text }) => text).join(""), TEXT);
    assert.deepEqual(
      parts.map((part) => part.bytes[part.header.start + 13]),
      [ACK | CWR, ACK, FIN | PSH | ACK],
    );
    for (const { options } of parts) assert.deepEqual(options, [1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]);
  });
}

test("what cannot be read stays as it is, and is refused as any packet", () => {
  const bytes = superPacket("IPv4", PROTOCOL_UDP);
  write16(bytes, 24, 3);
  const ip = new IpHeader();
  ip.read(bytes);
  assert.deepEqual(partsOf(bytes, ip, SIZE), [bytes]);
});

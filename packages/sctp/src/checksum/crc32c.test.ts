import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { crc32c, sctpChecksum, verifyChecksum, writeChecksum } from "./crc32c.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

test("published CRC32c values", () => {
  const cases: [Uint8Array, number][] = [
    [new TextEncoder().encode("123456789"), 0xe3069283],
    [new Uint8Array(32), 0x8a9136aa],
    [new Uint8Array(32).fill(0xff), 0x62a8ab43],
    [Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
    [Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
    // RFC 3720 §B.4, the SCSI read command.
    [
      hex(
        "01c00000000000000000000000000000140000000000040000000014000000182800000000000000" +
          "0200000000000000",
      ),
      0xd9963a56,
    ],
  ];
  for (const [bytes, expected] of cases) assert.equal(crc32c(bytes), expected);
});

test("every packet of the captures verifies, and no longer with a bit flipped", () => {
  const url = new URL("../../../../test/vectors/pcap_packets.json", import.meta.url);
  const packets = JSON.parse(readFileSync(url, "utf8")) as { sctp: string }[];
  assert.equal(packets.length, 249);
  for (const { sctp } of packets) {
    const bytes = hex(sctp);
    assert.ok(verifyChecksum(bytes, 0, bytes.length));
    const copy = bytes.slice();
    writeChecksum(copy, 0, copy.length);
    assert.deepEqual(copy, bytes);
    const at = bytes.length - 1;
    bytes[at] = (bytes[at] as number) ^ 0x10;
    assert.ok(!verifyChecksum(bytes, 0, bytes.length));
  }
});

test("a wrong checksum is refused", () => {
  const sack = "138813880eddca08CHECKSUM0300001055083640000200000000" + "0000";
  // One published packet carries 2a81f531 where 2a81f532 is right.
  assert.ok(!verifyChecksum(hex(sack.replace("CHECKSUM", "2a81f531")), 0, 28));
  assert.ok(verifyChecksum(hex(sack.replace("CHECKSUM", "2a81f532")), 0, 28));
  assert.ok(verifyChecksum(hex("138813880000000006a900e1"), 0, 12));
  // The same value, big endian.
  assert.ok(!verifyChecksum(hex("1388138800000000e100a906"), 0, 12));
  assert.ok(!verifyChecksum(hex("13881388"), 0, 4));
});

test("offsets inside a larger buffer and all lengths agree with a byte-wise computation", () => {
  const bytes = Uint8Array.from({ length: 80 }, (_, i) => (i * 167 + 13) & 0xff);
  for (let start = 0; start < 9; start++) {
    for (let end = start + 12; end <= bytes.length; end++) {
      const packet = bytes.slice(start, end);
      packet.fill(0, 8, 12);
      assert.equal(sctpChecksum(bytes, start, end), bytewise(packet));
    }
  }
});

function bytewise(bytes: Uint8Array): number {
  let register = 0xffffffff;
  for (const byte of bytes) {
    register ^= byte;
    for (let bit = 0; bit < 8; bit++) register = (register >>> 1) ^ (register & 1 ? 0x82f63b78 : 0);
  }
  return ~register >>> 0;
}

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addressBytes } from "@holdfast/model";
import {
  encodeIp,
  fold,
  IpHeader,
  onesSum,
  PROTOCOL,
  read16,
  read32,
  write16,
  write32,
} from "@holdfast/sctp";
import fc from "fast-check";
import { PlainHeader, TCP_FLAG } from "./header.ts";
import { clampMss, windowScaleOf } from "./options.ts";
import { writePlainChecksum } from "./rewrite.ts";
import { translatePlain } from "./translate.ts";
import { isNear, isWithin, windowOf } from "./window.ts";

const FAMILIES = [
  ["10.1.0.10", "203.0.113.1", "10.9.0.20"],
  ["fd00:1::10", "2001:db8:1::1", "fd00:9::20"],
] as const;

interface Segment {
  readonly flags?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly options?: string;
  readonly payload?: Uint8Array;
}

function tcp({
  flags = TCP_FLAG.ACK,
  sequence = 1,
  acknowledgment = 2,
  options = "",
  payload = new Uint8Array(),
}: Segment): Uint8Array {
  const head = Buffer.from(options, "hex");
  const bytes = new Uint8Array(20 + head.length + payload.length);
  write16(bytes, 0, 40_000);
  write16(bytes, 2, 8_080);
  write32(bytes, 4, sequence);
  write32(bytes, 8, acknowledgment);
  bytes[12] = (5 + head.length / 4) << 4;
  bytes[13] = flags;
  bytes.set(head, 20);
  bytes.set(payload, 20 + head.length);
  return bytes;
}

function udp(payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  write16(bytes, 0, 40_000);
  write16(bytes, 2, 8_080);
  write16(bytes, 4, bytes.length);
  bytes.set(payload, 8);
  return bytes;
}

function packetOf(family: (typeof FAMILIES)[number], protocol: number, payload: Uint8Array): Uint8Array {
  const [source, destination] = family;
  const bytes = encodeIp({
    source: addressBytes(source),
    destination: addressBytes(destination),
    payload,
    protocol,
  });
  const ip = read(bytes)[0];
  writePlainChecksum(bytes, ip);
  return bytes;
}

function read(bytes: Uint8Array): [IpHeader, PlainHeader] {
  const ip = new IpHeader();
  const header = new PlainHeader();
  assert.equal(ip.read(bytes), undefined);
  assert.equal(header.read(bytes, ip), undefined);
  return [ip, header];
}

/** RFC 9293 §3.1, RFC 768: the sum over pseudo header and packet is all ones. */
function hasRightChecksum(bytes: Uint8Array): boolean {
  const [ip] = read(bytes);
  const pseudo =
    onesSum(bytes, ip.sourceOffset, ip.sourceOffset + 2 * ip.addressSize) +
    ip.protocol +
    ip.end -
    ip.payloadOffset;
  const header = ip.version === 4 ? fold(onesSum(bytes, 0, ip.payloadOffset)) : 0xffff;
  return header === 0xffff && fold(onesSum(bytes, ip.payloadOffset, ip.end) + pseudo) === 0xffff;
}

function translated(bytes: Uint8Array, shift: number, direction: "up" | "down", partial = false): Uint8Array {
  const [ip, header] = read(bytes);
  const [, vip, endpoint] = FAMILIES[ip.version === 4 ? 0 : 1];
  const rewrite = { newSource: vip, newDestination: endpoint, newSourcePort: 51_000, newDestinationPort: 80 };
  return translatePlain(bytes, ip, header, { ...rewrite, shift, direction }, partial);
}

describe("translation of TCP and UDP", () => {
  test("right checksums stay right, whatever the packet and the shift", () => {
    const options = fc.constantFrom("", "01010101", "0101050a0000100000002000", "01050a00001000fffffff0ff");
    const word = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(
        fc.constantFrom(...FAMILIES),
        fc.record({
          sequence: word,
          acknowledgment: word,
          options,
          payload: fc.uint8Array({ maxLength: 50 }),
        }),
        fc.integer({ min: -32_768, max: 32_767 }),
        fc.constantFrom("up", "down"),
        fc.boolean(),
        (family, segment, shift, direction, partial) => {
          const bytes = packetOf(family, PROTOCOL.TCP, tcp(segment));
          if (partial) write16(bytes, bytes.length - segment.payload.length - 4, 0x1234);
          const result = translated(bytes, shift, direction, partial);
          assert.ok(partial || hasRightChecksum(result));
          const [, header] = read(result);
          const up = direction === "up";
          assert.equal(header.sequence, (segment.sequence + (up ? shift : 0)) >>> 0);
          assert.equal(header.acknowledgment, (segment.acknowledgment - (up ? 0 : shift)) >>> 0);
          assert.ok(
            hasRightChecksum(translated(packetOf(family, PROTOCOL.UDP, udp(segment.payload)), 0, "up")),
          );
        },
      ),
    );
  });

  test("what is taken from acknowledgments is taken from SACK's blocks, too, wherever they stand", () => {
    for (const [options, at] of [
      ["0101050a0000100000002000", 4],
      ["01050a000010000000200001", 3],
    ] as const) {
      const result = translated(packetOf(FAMILIES[0], PROTOCOL.TCP, tcp({ options })), 0x100, "down");
      assert.deepEqual([read32(result, 40 + at), read32(result, 44 + at)], [0xf00, 0x1f00]);
      assert.ok(hasRightChecksum(result));
    }
  });

  test("a UDP checksum of zero stays zero, and one that becomes zero is 0xffff", () => {
    const bytes = packetOf(FAMILIES[0], PROTOCOL.UDP, udp(Uint8Array.of(1, 2)));
    write16(bytes, 26, 0);
    assert.equal(read16(translated(bytes, 0, "up"), 26), 0);
    let found = 0;
    for (let word = 0; word <= 0xffff; word++) {
      const payload = Uint8Array.of(word >>> 8, word & 0xff);
      const checksum = read16(translated(packetOf(FAMILIES[0], PROTOCOL.UDP, udp(payload)), 0, "up"), 26);
      assert.notEqual(checksum, 0);
      if (checksum === 0xffff) found += 1;
    }
    assert.ok(found > 0);
  });

  test("a checksum that was left to the device is filled in", () => {
    const bytes = packetOf(FAMILIES[1], PROTOCOL.TCP, tcp({ payload: Uint8Array.of(7) }));
    write16(bytes, 40 + 16, 0xabcd);
    assert.ok(hasRightChecksum(translated(bytes, 0, "up", true)));
  });
});

describe("headers and options", () => {
  test("flags that no stack sends together, lengths that cannot be and port 0 have names", () => {
    const refusal = (protocol: number, payload: Uint8Array) => {
      const [source, destination] = FAMILIES[0];
      const ip = new IpHeader();
      const bytes = encodeIp({
        source: addressBytes(source),
        destination: addressBytes(destination),
        payload,
        protocol,
      });
      ip.read(bytes);
      return new PlainHeader().read(bytes, ip);
    };
    const { SYN, FIN, RST, ACK } = TCP_FLAG;
    for (const flags of [SYN, SYN | ACK, RST, RST | ACK, FIN | ACK, ACK, ACK | 0xe8])
      assert.equal(refusal(PROTOCOL.TCP, tcp({ flags })), undefined, String(flags));
    for (const flags of [0, FIN, SYN | FIN, SYN | RST, FIN | RST, SYN | FIN | ACK, 0xe8])
      assert.equal(refusal(PROTOCOL.TCP, tcp({ flags })), "tcp-flags", String(flags));
    assert.equal(refusal(PROTOCOL.TCP, tcp({}).subarray(0, 19)), "tcp-header");
    const long = tcp({});
    long[12] = 6 << 4;
    assert.equal(refusal(PROTOCOL.TCP, long), "tcp-header");
    assert.equal(refusal(PROTOCOL.UDP, udp(new Uint8Array(3)).subarray(0, 9)), "udp-length");
    assert.equal(refusal(PROTOCOL.UDP, udp(new Uint8Array())), undefined);
    assert.equal(refusal(PROTOCOL.UDP, new Uint8Array(8)), "port-zero");
  });

  test("the maximum segment size is lowered, never raised, and the checksum follows at odd places, too", () => {
    for (const options of ["020405b4", "01020405b4010101"]) {
      const bytes = packetOf(FAMILIES[0], PROTOCOL.TCP, tcp({ flags: TCP_FLAG.SYN, options }));
      const [, header] = read(bytes);
      assert.equal(clampMss(bytes, header, 1_460, false), false);
      assert.equal(clampMss(bytes, header, 1_360, false), true);
      assert.equal(read16(bytes, 40 + options.indexOf("0204") / 2 + 2), 1_360);
      assert.ok(hasRightChecksum(bytes));
    }
    for (const options of ["", "01010101", "0203051c", "0001020405b40000", "04ff020405b40000"]) {
      const bytes = packetOf(FAMILIES[0], PROTOCOL.TCP, tcp({ flags: TCP_FLAG.SYN, options }));
      assert.equal(clampMss(bytes, read(bytes)[1], 536, false), false, options);
    }
  });

  test("the window scale is found, at most 14", () => {
    const scale = (options: string) => {
      const bytes = packetOf(FAMILIES[0], PROTOCOL.TCP, tcp({ flags: TCP_FLAG.SYN, options }));
      return windowScaleOf(bytes, read(bytes)[1]);
    };
    assert.equal(scale("020405b401030307"), 7);
    assert.equal(scale("01030311"), 14);
    assert.equal(scale("020405b4"), undefined);
  });

  test("numbers are circles", () => {
    assert.ok(isWithin(5, 0xffff_fff0, 100));
    assert.ok(!isWithin(0xffff_ffef, 0xffff_fff0, 100));
    assert.ok(isNear(0xffff_ffff, 5, 6) && isNear(5, 0xffff_ffff, 6));
    assert.ok(!isNear(0xffff_ffff, 5, 5));
    assert.ok(!isNear(0, 0x8000_0000, windowOf(14)));
  });
});

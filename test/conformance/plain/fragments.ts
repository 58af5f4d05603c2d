// IPv4 fragments as a scripted host cuts them, and puts them together.
import { read16, write16, writeIpv4Checksum } from "@holdfast/sctp";
import type { CapturedPacket } from "@holdfast/testkit";

const HEADER_SIZE = 20;
const MORE_FRAGMENTS = 0x2000;

/** `size`: of each fragment's payload but the last one's, a multiple of 8. */
export function fragmentsOf(packet: Uint8Array, size: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = HEADER_SIZE; at < packet.length; at += size) {
    const end = Math.min(at + size, packet.length);
    const part = new Uint8Array(HEADER_SIZE + end - at);
    part.set(packet.subarray(0, HEADER_SIZE));
    part.set(packet.subarray(at, end), HEADER_SIZE);
    write16(part, 2, part.length);
    write16(part, 6, (end < packet.length ? MORE_FRAGMENTS : 0) | ((at - HEADER_SIZE) / 8));
    writeIpv4Checksum(part);
    parts.push(part);
  }
  return parts;
}

/** Payloads of packets, those of fragments put together by offset; what is not complete is left out. */
export function joined(packets: readonly CapturedPacket[]): Uint8Array[] {
  const whole: Uint8Array[] = [];
  const groups = new Map<number, CapturedPacket[]>();
  for (const packet of packets) {
    const { bytes, payload } = packet;
    if ((bytes[0] as number) >>> 4 !== 4 || (read16(bytes, 6) & 0x3fff) === 0) whole.push(payload);
    else groups.set(read16(bytes, 4), [...(groups.get(read16(bytes, 4)) ?? []), packet]);
  }
  for (const group of groups.values()) {
    const offsetOf = ({ bytes }: CapturedPacket) => (read16(bytes, 6) & 0x1fff) * 8;
    const sorted = [...group].sort((a, b) => offsetOf(a) - offsetOf(b));
    let end = 0;
    let isWhole = true;
    for (const part of sorted) {
      isWhole &&= offsetOf(part) === end;
      end = offsetOf(part) + part.payload.length;
    }
    const last = sorted.at(-1);
    isWhole &&= last !== undefined && (read16(last.bytes, 6) & MORE_FRAGMENTS) === 0;
    if (isWhole) whole.push(Buffer.concat(sorted.map(({ payload }) => payload)));
  }
  return whole;
}

// What a record's bytes (session/codec/format.ts) hold when it speaks of an address, a port or a tag: all of
// these stand there as they are, most significant byte first. To find some records among a million most need
// not be decoded.
import type { Address } from "../address.ts";
import { ipv4Of, ipv6Of } from "../session/bytes.ts";

export type Needle = Uint8Array;

export function needleOfAddress(address: Address): Needle {
  const ipv4 = ipv4Of(address);
  return ipv4 >= 0 ? needleOfNumber(ipv4, 4) : (ipv6Of(address) ?? new TextEncoder().encode(address));
}

/** Of a port (2 bytes) or a tag (4 bytes). */
export function needleOfNumber(value: number, size: 2 | 4): Needle {
  const bytes = new Uint8Array(size);
  for (let at = size - 1, rest = value; at >= 0; at--, rest = Math.floor(rest / 256)) bytes[at] = rest % 256;
  return bytes;
}

/** Whether the needle is among bytes `from` to `end`, exclusive. */
export function isAmong(bytes: Uint8Array, from: number, end: number, needle: Needle): boolean {
  const { length } = needle;
  const first = needle[0] as number;
  for (let at = from; at + length <= end; at++) {
    if (bytes[at] !== first) continue;
    let same = 1;
    while (same < length && bytes[at + same] === needle[same]) same++;
    if (same === length) return true;
  }
  return false;
}

// Options of TCP (RFC 9293 §3.1) in SYN and SYN-ACK.
import { applyDelta, fold, read16, write16 } from "@holdfast/sctp";
import { type PlainHeader, TCP_CHECKSUM_OFFSET, TCP_HEADER_SIZE } from "./header.ts";

const OPTION_END = 0;
const OPTION_NOTHING = 1;
const OPTION_MSS = 2;
const OPTION_WINDOW_SCALE = 3;
const MSS_SIZE = 4;
const WINDOW_SCALE_SIZE = 3;

/** What IP and TCP headers without options take of an MTU, bytes. */
export const MSS_OVERHEAD = { 4: 40, 6: 60 } as const;
/** RFC 9293 §3.7.1: no end needs to take less. */
export const MSS_LEAST = 536;

/**
 * Offset of an option of this kind and size; undefined: there is none, or what stands before it is broken.
 */
function optionAt(bytes: Uint8Array, header: PlainHeader, kind: number, size: number): number | undefined {
  const end = header.start + header.headerSize;
  let at = header.start + TCP_HEADER_SIZE;
  while (at + 1 < end) {
    const found = bytes[at] as number;
    if (found === OPTION_END) return undefined;
    if (found === OPTION_NOTHING) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1] as number;
    if (length < 2 || at + length > end) return undefined;
    if (found === kind && length === size) return at;
    at += length;
  }
  return undefined;
}

/** RFC 7323 §2.2: of a SYN or SYN-ACK, 0 … 14; undefined: it does not scale. */
export function windowScaleOf(bytes: Uint8Array, header: PlainHeader): number | undefined {
  const at = optionAt(bytes, header, OPTION_WINDOW_SCALE, WINDOW_SCALE_SIZE);
  // RFC 7323 §2.3: a larger one means 14.
  return at === undefined ? undefined : Math.min(bytes[at + 2] as number, 14);
}

/** Of a SYN or SYN-ACK: the maximum segment size that it offers; undefined: none. */
export function mssOf(bytes: Uint8Array, header: PlainHeader): number | undefined {
  const at = optionAt(bytes, header, OPTION_MSS, MSS_SIZE);
  return at === undefined ? undefined : read16(bytes, at + 2);
}

/**
 * Lowers the maximum segment size that a SYN or SYN-ACK offers to `mss`, in place. Without the option its
 * receiver sends no more than any path takes (RFC 9293 §3.7.1), and nothing is done. The checksum changes
 * by the difference; with `checksumPartial` it does not depend on options yet. Returns whether the packet
 * changed.
 */
export function clampMss(
  bytes: Uint8Array,
  header: PlainHeader,
  mss: number,
  checksumPartial: boolean,
): boolean {
  const at = optionAt(bytes, header, OPTION_MSS, MSS_SIZE);
  if (at === undefined) return false;
  const offered = read16(bytes, at + 2);
  if (offered <= mss) return false;
  write16(bytes, at + 2, mss);
  if (checksumPartial) return true;
  const delta = fold((~offered & 0xffff) + mss);
  const isEven = (at - header.start) % 2 === 0;
  const checksumAt = header.start + TCP_CHECKSUM_OFFSET;
  const summand = isEven ? delta : ((delta & 0xff) << 8) | (delta >>> 8);
  write16(bytes, checksumAt, applyDelta(read16(bytes, checksumAt), summand));
  return true;
}

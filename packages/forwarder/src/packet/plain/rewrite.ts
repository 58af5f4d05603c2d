// The translation of a TCP or UDP packet in place: addresses, ports, sequence numbers, and the checksums by
// their difference (RFC 1624). The fast path's reference and the slow path use it.
import {
  applyDelta,
  checksumDelta,
  fold,
  IPV4_CHECKSUM_OFFSET,
  IPV4_TTL_OFFSET,
  IPV6_HOP_LIMIT_OFFSET,
  type IpHeader,
  internetChecksum,
  onesSum,
  PROTOCOL,
  read16,
  read32,
  write16,
} from "@holdfast/sctp";
import {
  datagramEnd,
  type PlainHeader,
  TCP_ACKNOWLEDGMENT_OFFSET,
  TCP_CHECKSUM_OFFSET,
  TCP_HEADER_SIZE,
  TCP_SEQUENCE_OFFSET,
  UDP_CHECKSUM_OFFSET,
} from "./header.ts";

/**
 * TTL falls by one in the high byte of its word: RFC 1624's ~m + m' for any m is -0x0100 in one's
 * complement.
 */
const TTL_DELTA = 0xffff - 0x0100;

export interface PlainRewrite {
  /** 4 or 16 bytes, of the packet's family. */
  readonly newSource: Uint8Array;
  readonly newDestination: Uint8Array;
  readonly newSourcePort: number;
  readonly newDestinationPort: number;
  /** TCP: see PlainTcp. 0: none. */
  readonly shift: number;
  readonly direction: "up" | "down";
}

/** What the addresses, and the ports as well, add to checksums: folded sums of ~m + m'. */
export interface PlainDeltas {
  readonly addresses: number;
  readonly transport: number;
}

export function plainDeltas(
  source: Uint8Array,
  destination: Uint8Array,
  sourcePort: number,
  destinationPort: number,
  rewrite: PlainRewrite,
): PlainDeltas {
  const addresses = fold(
    checksumDelta(source, rewrite.newSource) + checksumDelta(destination, rewrite.newDestination),
  );
  const ports =
    wordDelta(sourcePort, rewrite.newSourcePort) + wordDelta(destinationPort, rewrite.newDestinationPort);
  return { addresses, transport: fold(addresses + ports) };
}

/**
 * Rewrites the packet that `ip` and `header` were read from. With `checksumPartial` the checksum field
 * holds the sum of the pseudo header, not complemented.
 */
export function rewritePlain(
  bytes: Uint8Array,
  ip: IpHeader,
  header: PlainHeader,
  rewrite: PlainRewrite,
  deltas: PlainDeltas,
  checksumPartial: boolean,
): void {
  if (ip.version === 4) {
    const checksum = read16(bytes, IPV4_CHECKSUM_OFFSET);
    write16(bytes, IPV4_CHECKSUM_OFFSET, applyDelta(checksum, deltas.addresses + TTL_DELTA));
    bytes[IPV4_TTL_OFFSET] = ip.hopLimit - 1;
  } else bytes[IPV6_HOP_LIMIT_OFFSET] = ip.hopLimit - 1;
  bytes.set(rewrite.newSource, ip.sourceOffset);
  bytes.set(rewrite.newDestination, ip.destinationOffset);
  write16(bytes, header.start, rewrite.newSourcePort);
  write16(bytes, header.start + 2, rewrite.newDestinationPort);
  const shifted = header.isTcp && rewrite.shift !== 0 ? shiftNumbers(bytes, header, rewrite) : 0;
  const at = header.start + (header.isTcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET);
  const checksum = read16(bytes, at);
  if (checksumPartial) write16(bytes, at, fold(checksum + deltas.addresses));
  else if (header.isTcp) write16(bytes, at, applyDelta(checksum, deltas.transport + shifted));
  // RFC 768: zero means that there is none, so that a sum of zero is sent as its other form.
  else if (checksum !== 0) write16(bytes, at, applyDelta(checksum, deltas.transport) || 0xffff);
}

/** Computes the checksum of a whole packet of TCP or UDP anew: for what a local stack left to a device. */
export function writePlainChecksum(bytes: Uint8Array, ip: IpHeader): void {
  const { payloadOffset: start, sourceOffset, destinationOffset, addressSize, protocol } = ip;
  const isTcp = protocol === PROTOCOL.TCP;
  const end = isTcp ? ip.end : datagramEnd(bytes, start, ip.end);
  const at = start + (isTcp ? TCP_CHECKSUM_OFFSET : UDP_CHECKSUM_OFFSET);
  write16(bytes, at, 0);
  const pseudo =
    onesSum(bytes, sourceOffset, sourceOffset + addressSize) +
    onesSum(bytes, destinationOffset, destinationOffset + addressSize) +
    protocol +
    (end - start);
  const checksum = internetChecksum(bytes, start, end, pseudo);
  write16(bytes, at, isTcp ? checksum : checksum || 0xffff);
}

/** Returns what it adds to the checksum. */
function shiftNumbers(bytes: Uint8Array, header: PlainHeader, { shift, direction }: PlainRewrite): number {
  if (direction === "up") return addTo(bytes, header.start + TCP_SEQUENCE_OFFSET, shift);
  const delta = addTo(bytes, header.start + TCP_ACKNOWLEDGMENT_OFFSET, -shift);
  return delta + shiftSack(bytes, header, -shift);
}

const OPTION_END = 0;
const OPTION_NOTHING = 1;
const OPTION_SACK = 5;
const SACK_NUMBER_COUNT_MAX = 8;

/**
 * RFC 2018 §3: the blocks hold numbers of the other direction, as acknowledgments do. Broken options are
 * left alone.
 */
function shiftSack(bytes: Uint8Array, header: PlainHeader, shift: number): number {
  const end = header.start + header.headerSize;
  let at = header.start + TCP_HEADER_SIZE;
  while (at + 1 < end) {
    const kind = bytes[at] as number;
    if (kind === OPTION_END) return 0;
    if (kind === OPTION_NOTHING) {
      at += 1;
      continue;
    }
    const size = bytes[at + 1] as number;
    if (size < 2 || at + size > end) return 0;
    if (kind === OPTION_SACK) {
      let delta = 0;
      const count = Math.min(Math.floor((size - 2) / 4), SACK_NUMBER_COUNT_MAX);
      for (let i = 0; i < count; i++) delta += addTo(bytes, at + 2 + i * 4, shift);
      // Words of the checksum begin at even offsets of the segment.
      return (at - header.start) % 2 === 0 ? delta : swapped(delta);
    }
    at += size;
  }
  return 0;
}

function swapped(delta: number): number {
  const folded = fold(delta);
  return ((folded & 0xff) << 8) | (folded >>> 8);
}

/** Adds to a number of 32 bits; returns what that adds to a checksum whose words begin at its place. */
function addTo(bytes: Uint8Array, at: number, amount: number): number {
  const [high, low] = [read16(bytes, at), read16(bytes, at + 2)];
  const sum = (read32(bytes, at) + amount) >>> 0;
  write16(bytes, at, sum >>> 16);
  write16(bytes, at + 2, sum & 0xffff);
  return wordDelta(high, sum >>> 16) + wordDelta(low, sum & 0xffff);
}

function wordDelta(old: number, replacement: number): number {
  return (~old & 0xffff) + replacement;
}

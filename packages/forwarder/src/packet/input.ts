// A punted packet, parsed once, with what travels beside it.
import { type Address, addressFromBytes } from "@holdfast/model";
import {
  bundlingFault,
  type IpHeader,
  isMalformed,
  type Packet,
  parsePacket,
  verifyChecksum,
} from "@holdfast/sctp";
import type { SlowPathDropReason } from "../counters/drop-reasons.ts";
import type { Punt } from "../fast-path/port.ts";
import { isUnicast } from "../path-mapping/client-filter.ts";

export interface SctpInput {
  /** Whole IP packet. Valid only during the punt, unless `own` says otherwise. */
  readonly bytes: Uint8Array;
  readonly ip: IpHeader;
  readonly packet: Packet;
  readonly source: Address;
  readonly destination: Address;
  readonly interfaceIndex: number;
  /** The checksum is not filled in yet: written when the packet leaves, never verified. */
  readonly checksumPartial: boolean;
  /** Forwarded already; only to learn from. */
  readonly copy: boolean;
  /** An INIT that the fast path has refused before. */
  readonly again: boolean;
  /** Set when other members were asked: not a second time. */
  readonly asked: boolean;
  /** … and every one of them has answered. */
  readonly allAnswered: boolean;
  /** Reassembled: leaves in fragments of at most this many bytes. */
  readonly fragmentSize: number | undefined;
}

const TEXTS_MAX = 65_536;
const texts = new Map<number, Address>();

/** The address at an offset; IPv4 text is remembered, since the same few thousand come again and again. */
export function addressAt(bytes: Uint8Array, offset: number, size: number): Address {
  if (size !== 4) return addressFromBytes(bytes, offset, size);
  const word =
    ((bytes[offset] as number) << 24) |
    ((bytes[offset + 1] as number) << 16) |
    ((bytes[offset + 2] as number) << 8) |
    (bytes[offset + 3] as number);
  let text = texts.get(word);
  if (text === undefined) {
    if (texts.size >= TEXTS_MAX) texts.clear();
    text = addressFromBytes(bytes, offset, 4);
    texts.set(word, text);
  }
  return text;
}

/**
 * Parses the SCTP packet inside. A refusal is a drop reason: broken lengths, chunks that may not travel
 * together, a source that no host can have, a checksum that does not fit (nothing may be learned from, or
 * made of, such a packet).
 */
export function readInput(
  punt: Pick<Punt, "packet" | "interfaceIndex" | "checksumPartial" | "copy" | "again">,
  ip: IpHeader,
  fragmentSize?: number,
): SctpInput | SlowPathDropReason {
  const bytes = punt.packet;
  const packet = parsePacket(bytes, ip.payloadOffset, ip.end);
  if (isMalformed(packet)) return "malformed";
  if (bundlingFault(packet) !== undefined) return "bad-bundling";
  if (!isUnicast(bytes.subarray(ip.sourceOffset, ip.sourceOffset + ip.addressSize)))
    return "source-not-unicast";
  if (!punt.checksumPartial && !verifyChecksum(bytes, packet.start, packet.end)) return "bad-checksum";
  return {
    bytes,
    ip,
    packet,
    source: addressAt(bytes, ip.sourceOffset, ip.addressSize),
    destination: addressAt(bytes, ip.destinationOffset, ip.addressSize),
    interfaceIndex: punt.interfaceIndex,
    checksumPartial: punt.checksumPartial,
    copy: punt.copy,
    again: punt.again ?? false,
    asked: false,
    allAnswered: false,
    fragmentSize,
  };
}

/** The same packet with bytes of its own, so that it can wait. */
export function ownInput(input: SctpInput, changes: { readonly asked: boolean }): SctpInput {
  const bytes = input.bytes.slice();
  const packet = parsePacket(bytes, input.packet.start, input.packet.end);
  // The same bytes parsed before.
  return { ...input, ...changes, bytes, packet: packet as Packet };
}

/** Types of the packet's chunks in their order. */
export function chunkTypes(packet: Packet): number[] {
  return packet.chunks.map((chunk) => chunk.type);
}

// IPv4 (RFC 791) and IPv6 (RFC 8200) headers: what a translator needs of them.
import type { MalformedReason } from "../wire/malformed.ts";
import { read8, read16, read32 } from "../wire/tlv.ts";

export const PROTOCOL = { ICMP: 1, TCP: 6, UDP: 17, ICMPV6: 58, SCTP: 132 } as const;

export const IPV4_HEADER_SIZE = 20;
export const IPV4_TOS_OFFSET = 1;
export const IPV4_TOTAL_LENGTH_OFFSET = 2;
export const IPV4_ID_OFFSET = 4;
export const IPV4_FRAGMENT_OFFSET = 6;
export const IPV4_TTL_OFFSET = 8;
export const IPV4_PROTOCOL_OFFSET = 9;
export const IPV4_CHECKSUM_OFFSET = 10;
export const IPV4_SOURCE_OFFSET = 12;
export const IPV4_DESTINATION_OFFSET = 16;

export const IPV6_HEADER_SIZE = 40;
export const IPV6_PAYLOAD_LENGTH_OFFSET = 4;
export const IPV6_NEXT_HEADER_OFFSET = 6;
export const IPV6_HOP_LIMIT_OFFSET = 7;
export const IPV6_SOURCE_OFFSET = 8;
export const IPV6_DESTINATION_OFFSET = 24;

/** More IPv6 extension headers than these make a packet malformed. */
export const IPV6_EXTENSION_COUNT_MAX = 6;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const DESTINATION_OPTIONS = 60;

const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;

/** What `read` found. One object serves many packets; nothing is copied. */
export class IpHeader {
  version: 4 | 6 = 4;
  /** Offset of the upper-layer header, extension headers included. */
  payloadOffset = 0;
  /** Offset of the packet's end: total length as the header says it, not the frame's. */
  end = 0;
  /** Upper-layer protocol. Of a later fragment: the protocol of the first. */
  protocol = 0;
  /** TTL or hop limit. */
  hopLimit = 0;
  /** TOS or traffic class: DSCP and ECN. */
  trafficClass = 0;
  sourceOffset = 0;
  destinationOffset = 0;
  /** 4 or 16. */
  addressSize = 4;
  dontFragment = false;
  /** More fragments follow, or this is not the first. */
  fragment = false;
  /** Offset in bytes of this fragment's payload in the whole packet's. */
  fragmentOffset = 0;
  moreFragments = false;
  identification = 0;

  /** Reads the header at the start of bytes[0, size). undefined: fine; the fields hold only then. */
  read(bytes: Uint8Array, size: number = bytes.length): MalformedReason | undefined {
    if (size < 1) return "ip-too-short";
    switch (read8(bytes, 0) >>> 4) {
      case 4:
        return this.#readIpv4(bytes, size);
      case 6:
        return this.#readIpv6(bytes, size);
      default:
        return "ip-version";
    }
  }

  #readIpv4(bytes: Uint8Array, size: number): MalformedReason | undefined {
    if (size < IPV4_HEADER_SIZE) return "ip-too-short";
    const headerLength = (read8(bytes, 0) & 0x0f) * 4;
    const totalLength = read16(bytes, IPV4_TOTAL_LENGTH_OFFSET);
    if (headerLength < IPV4_HEADER_SIZE) return "ip-header-length";
    if (totalLength < headerLength || totalLength > size) return "ip-total-length";
    const fragmentWord = read16(bytes, IPV4_FRAGMENT_OFFSET);
    this.version = 4;
    this.payloadOffset = headerLength;
    this.end = totalLength;
    this.protocol = read8(bytes, IPV4_PROTOCOL_OFFSET);
    this.hopLimit = read8(bytes, IPV4_TTL_OFFSET);
    this.trafficClass = read8(bytes, IPV4_TOS_OFFSET);
    this.sourceOffset = IPV4_SOURCE_OFFSET;
    this.destinationOffset = IPV4_DESTINATION_OFFSET;
    this.addressSize = 4;
    this.dontFragment = (fragmentWord & DONT_FRAGMENT) !== 0;
    this.moreFragments = (fragmentWord & MORE_FRAGMENTS) !== 0;
    this.fragmentOffset = (fragmentWord & 0x1fff) * 8;
    this.fragment = this.moreFragments || this.fragmentOffset !== 0;
    this.identification = read16(bytes, IPV4_ID_OFFSET);
    return undefined;
  }

  #readIpv6(bytes: Uint8Array, size: number): MalformedReason | undefined {
    if (size < IPV6_HEADER_SIZE) return "ip-too-short";
    const end = IPV6_HEADER_SIZE + read16(bytes, IPV6_PAYLOAD_LENGTH_OFFSET);
    if (end > size) return "ip-total-length";
    this.version = 6;
    this.end = end;
    this.hopLimit = read8(bytes, IPV6_HOP_LIMIT_OFFSET);
    this.trafficClass = (read16(bytes, 0) >>> 4) & 0xff;
    this.sourceOffset = IPV6_SOURCE_OFFSET;
    this.destinationOffset = IPV6_DESTINATION_OFFSET;
    this.addressSize = 16;
    // Only the sender fragments (RFC 8200 §4.5).
    this.dontFragment = true;
    this.moreFragments = false;
    this.fragmentOffset = 0;
    this.fragment = false;
    this.identification = 0;
    let next = read8(bytes, IPV6_NEXT_HEADER_OFFSET);
    let offset = IPV6_HEADER_SIZE;
    for (let count = 0; isExtension(next); count++) {
      // What follows the header of a later fragment is payload, whatever it looks like.
      if (this.fragmentOffset !== 0) break;
      if (count === IPV6_EXTENSION_COUNT_MAX) return "ip-extension-count";
      if (end - offset < 8) return "ip-extension-truncated";
      const length = next === FRAGMENT ? 8 : (read8(bytes, offset + 1) + 1) * 8;
      if (end - offset < length) return "ip-extension-truncated";
      if (next === FRAGMENT) {
        const word = read16(bytes, offset + 2);
        this.fragmentOffset = word & 0xfff8;
        this.moreFragments = (word & 1) !== 0;
        this.fragment = this.moreFragments || this.fragmentOffset !== 0;
        this.identification = read32(bytes, offset + 4);
      }
      next = read8(bytes, offset);
      offset += length;
    }
    this.protocol = next;
    this.payloadOffset = offset;
    return undefined;
  }
}

function isExtension(next: number): boolean {
  return next === HOP_BY_HOP || next === ROUTING || next === FRAGMENT || next === DESTINATION_OPTIONS;
}

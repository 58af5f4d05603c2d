// Cutting a packet into fragments: IPv4 (RFC 791 §3.2) and IPv6 (RFC 8200 §4.5).
import {
  IPV4_FRAGMENT_OFFSET,
  IPV4_ID_OFFSET,
  IPV4_TOTAL_LENGTH_OFFSET,
  IPV6_HEADER_SIZE,
  IPV6_NEXT_HEADER_OFFSET,
  IPV6_PAYLOAD_LENGTH_OFFSET,
  IpHeader,
  write16,
  write32,
  writeIpv4Checksum,
} from "@holdfast/sctp";

const IPV6_FRAGMENT_HEADER = 44;
const IPV6_FRAGMENT_HEADER_SIZE = 8;
const MORE_FRAGMENTS = 0x2000;

/**
 * The whole IP packet in fragments of at most `sizeMax` bytes, header included; the packet itself when it
 * fits. IPv4 options are repeated in every fragment, IPv6 packets are expected without extension headers
 * (reassembly leaves none).
 */
export function fragmentPacket(bytes: Uint8Array, sizeMax: number, identification: number): Uint8Array[] {
  const ip = new IpHeader();
  if (ip.read(bytes) !== undefined || ip.end <= sizeMax) return [bytes];
  const headerSize = ip.version === 4 ? ip.payloadOffset : IPV6_HEADER_SIZE;
  const overhead = headerSize + (ip.version === 6 ? IPV6_FRAGMENT_HEADER_SIZE : 0);
  const step = (sizeMax - overhead) & ~7;
  if (step < 8) return [];
  const payload = bytes.subarray(headerSize, ip.end);
  const fragments: Uint8Array[] = [];
  for (let offset = 0; offset < payload.length; offset += step) {
    const piece = payload.subarray(offset, offset + step);
    const more = offset + step < payload.length;
    const fragment = new Uint8Array(overhead + piece.length);
    fragment.set(bytes.subarray(0, headerSize));
    fragment.set(piece, overhead);
    if (ip.version === 4) {
      write16(fragment, IPV4_TOTAL_LENGTH_OFFSET, fragment.length);
      write16(fragment, IPV4_ID_OFFSET, identification & 0xffff);
      write16(fragment, IPV4_FRAGMENT_OFFSET, (offset >>> 3) | (more ? MORE_FRAGMENTS : 0));
      writeIpv4Checksum(fragment);
    } else {
      write16(fragment, IPV6_PAYLOAD_LENGTH_OFFSET, fragment.length - IPV6_HEADER_SIZE);
      fragment[IPV6_HEADER_SIZE] = bytes[IPV6_NEXT_HEADER_OFFSET] as number;
      fragment[IPV6_NEXT_HEADER_OFFSET] = IPV6_FRAGMENT_HEADER;
      write16(fragment, IPV6_HEADER_SIZE + 2, offset | (more ? 1 : 0));
      write32(fragment, IPV6_HEADER_SIZE + 4, identification >>> 0);
    }
    fragments.push(fragment);
  }
  return fragments;
}

// A ping to an owned VIP is answered (RFC 792, RFC 4443 §4.2): the request turned round.
import {
  applyDelta,
  IPV4_CHECKSUM_OFFSET,
  IPV4_TTL_OFFSET,
  IPV6_HOP_LIMIT_OFFSET,
  IpHeader,
  read16,
  write16,
} from "@holdfast/sctp";

const ECHO_REPLY = 0;
const V6_ECHO_REPLY = 129;
const HOP_LIMIT = 64;
const ICMP_CHECKSUM_OFFSET = 2;

/**
 * The reply to the echo request bytes[0, size), in a buffer of its own. The request is one that the
 * translator has decided to answer, so its header is sound. Identifier, sequence and data stay; wrong
 * checksums stay wrong.
 */
export function echoReply(request: Uint8Array, size: number): Uint8Array {
  const header = new IpHeader();
  header.read(request, size);
  const reply = request.slice(0, header.end);
  const { addressSize, sourceOffset, destinationOffset, payloadOffset } = header;
  reply.copyWithin(sourceOffset, destinationOffset, destinationOffset + addressSize);
  reply.set(request.subarray(sourceOffset, sourceOffset + addressSize), destinationOffset);
  // Type and code are the checksum's first word; the sum of the exchanged addresses stays what it was.
  const old = read16(reply, payloadOffset);
  reply[payloadOffset] = header.version === 4 ? ECHO_REPLY : V6_ECHO_REPLY;
  const at = payloadOffset + ICMP_CHECKSUM_OFFSET;
  write16(reply, at, applyDelta(read16(reply, at), 0xffff - old + read16(reply, payloadOffset)));
  if (header.version === 4) {
    reply[IPV4_TTL_OFFSET] = HOP_LIMIT;
    // TTL is the high byte of its word.
    const delta = 0xffff - (header.hopLimit << 8) + (HOP_LIMIT << 8);
    write16(reply, IPV4_CHECKSUM_OFFSET, applyDelta(read16(reply, IPV4_CHECKSUM_OFFSET), delta));
  } else {
    reply[IPV6_HOP_LIMIT_OFFSET] = HOP_LIMIT;
  }
  return reply;
}

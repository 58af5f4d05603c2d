// Neighbour solicitations for owned VIPs (RFC 4861 §4.3, §4.4, §7.2.4), sent to the VIP or its solicited-node
// group.
import {
  encodeIp,
  IPV6_DESTINATION_OFFSET,
  IPV6_HEADER_SIZE,
  IPV6_HOP_LIMIT_OFFSET,
  IPV6_NEXT_HEADER_OFFSET,
  IPV6_PAYLOAD_LENGTH_OFFSET,
  IPV6_SOURCE_OFFSET,
  internetChecksum,
  PROTOCOL,
  pseudoHeaderSum,
  read16,
  write16,
} from "@holdfast/sctp";
import type { OwnsAddress } from "./arp.ts";

const ETH_HEADER_SIZE = 14;
const SOLICITATION = 135;
const ADVERTISEMENT = 136;
/** Type, code, checksum, reserved, target. */
const MESSAGE_SIZE = 24;
const TARGET_OFFSET = 8;
const TARGET_LINK_LAYER_OPTION = 2;
const SOLICITED = 0x40;
const OVERRIDE = 0x20;
const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const ALL_NODES_MAC = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);

/** Whether bytes[start, end) is the frame of a neighbour solicitation without extension headers. */
export function isSolicitation(bytes: Uint8Array, start: number, end: number): boolean {
  const ip = start + ETH_HEADER_SIZE;
  return (
    end - ip >= IPV6_HEADER_SIZE + MESSAGE_SIZE &&
    bytes[ip + IPV6_NEXT_HEADER_OFFSET] === PROTOCOL.ICMPV6 &&
    bytes[ip + IPV6_HEADER_SIZE] === SOLICITATION
  );
}

/**
 * The advertisement that answers the solicitation in the frame bytes[start, end), as a whole frame, if it
 * asks for a VIP of this member; "not-owned" if for another member's; undefined for anything else, and for a
 * solicitation that RFC 4861 §7.1.1 calls invalid.
 */
export function neighbourAdvertisement(
  bytes: Uint8Array,
  start: number,
  end: number,
  mac: Uint8Array,
  owns: OwnsAddress,
): Uint8Array | "not-owned" | undefined {
  if (!isSolicitation(bytes, start, end)) return undefined;
  const ip = start + ETH_HEADER_SIZE;
  const message = ip + IPV6_HEADER_SIZE;
  // A hop limit of 255 proves that it comes from this link.
  if (bytes[ip + IPV6_HOP_LIMIT_OFFSET] !== 255 || bytes[message + 1] !== 0) return undefined;
  const length = read16(bytes, ip + IPV6_PAYLOAD_LENGTH_OFFSET);
  if (length < MESSAGE_SIZE || message + length > end) return undefined;
  const source = bytes.subarray(ip + IPV6_SOURCE_OFFSET, ip + IPV6_SOURCE_OFFSET + 16);
  const destination = bytes.subarray(ip + IPV6_DESTINATION_OFFSET, ip + IPV6_DESTINATION_OFFSET + 16);
  const sum = pseudoHeaderSum(source, destination, length, PROTOCOL.ICMPV6);
  if (internetChecksum(bytes, message, message + length, sum) !== 0) return undefined;
  const owned = owns(bytes, message + TARGET_OFFSET);
  if (owned !== true) return owned === false ? "not-owned" : undefined;

  const target = bytes.slice(message + TARGET_OFFSET, message + TARGET_OFFSET + 16);
  // Without a source, somebody wants to take the address for himself: everybody is told (RFC 4861 §7.2.4).
  const unspecified = source.every((byte) => byte === 0);
  const payload = new Uint8Array(MESSAGE_SIZE + 8);
  payload[0] = ADVERTISEMENT;
  payload[4] = unspecified ? OVERRIDE : SOLICITED | OVERRIDE;
  payload.set(target, TARGET_OFFSET);
  payload[MESSAGE_SIZE] = TARGET_LINK_LAYER_OPTION;
  payload[MESSAGE_SIZE + 1] = 1;
  payload.set(mac, MESSAGE_SIZE + 2);
  const to = unspecified ? ALL_NODES : source;
  const answerSum = pseudoHeaderSum(target, to, payload.length, PROTOCOL.ICMPV6);
  write16(payload, 2, internetChecksum(payload, 0, payload.length, answerSum));
  const packet = encodeIp({
    source: target,
    destination: to,
    payload,
    protocol: PROTOCOL.ICMPV6,
    hopLimit: 255,
  });
  const frame = new Uint8Array(ETH_HEADER_SIZE + packet.length);
  frame.set(unspecified ? ALL_NODES_MAC : bytes.subarray(start + 6, start + 12));
  frame.set(mac, 6);
  write16(frame, 12, 0x86dd);
  frame.set(packet, ETH_HEADER_SIZE);
  return frame;
}

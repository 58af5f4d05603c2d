// ARP for owned VIPs (RFC 826): the request turned into a reply.
//
//   0  hardware type 1, protocol type 0x0800, sizes 6 and 4, operation
//   8  sender MAC (6), sender IPv4 (4), target MAC (6), target IPv4 (4)
import { read16, write16 } from "@holdfast/sctp";

const ETH_HEADER_SIZE = 14;
const ARP_SIZE = 28;
const OPERATION = ETH_HEADER_SIZE + 6;
const SENDER_MAC = ETH_HEADER_SIZE + 8;
const SENDER_ADDRESS = ETH_HEADER_SIZE + 14;
const TARGET_MAC = ETH_HEADER_SIZE + 18;
const TARGET_ADDRESS = ETH_HEADER_SIZE + 24;
const REQUEST = 1;
const REPLY = 2;
/** Ethernet, IPv4, 6, 4. */
const PREFIX = [0, 1, 8, 0, 6, 4];

/**
 * Whether the address in the buffer at the offset is a VIP of this member (true), of another (false), or no
 * VIP.
 */
export type OwnsAddress = (bytes: Uint8Array, offset: number) => boolean | undefined;

/**
 * The reply to the ARP frame bytes[start, end), as a whole frame, if it asks for a VIP of this member;
 * "not-owned" if for another member's; undefined for anything else.
 */
export function arpReply(
  bytes: Uint8Array,
  start: number,
  end: number,
  mac: Uint8Array,
  owns: OwnsAddress,
): Uint8Array | "not-owned" | undefined {
  if (end - start < ETH_HEADER_SIZE + ARP_SIZE) return undefined;
  if (PREFIX.some((value, i) => bytes[start + ETH_HEADER_SIZE + i] !== value)) return undefined;
  if (read16(bytes, start + OPERATION) !== REQUEST) return undefined;
  const owned = owns(bytes, start + TARGET_ADDRESS);
  if (owned !== true) return owned === false ? "not-owned" : undefined;
  const reply = bytes.slice(start, start + ETH_HEADER_SIZE + ARP_SIZE);
  reply.copyWithin(0, 6, 12);
  reply.set(mac, 6);
  write16(reply, OPERATION, REPLY);
  reply.copyWithin(TARGET_MAC, SENDER_MAC, SENDER_MAC + 10);
  reply.set(mac, SENDER_MAC);
  reply.set(bytes.subarray(start + TARGET_ADDRESS, start + TARGET_ADDRESS + 4), SENDER_ADDRESS);
  return reply;
}

// The frames that move a neighbour's cache entry to us, and those that ask one whether it is there. Pure:
// addresses in, bytes out.
import { type Address, addressBytes, familyOf } from "@holdfast/model";

const BROADCAST = new Uint8Array(6).fill(0xff);
/** RFC 2464 §7: 33:33 and the last four bytes of the group; here all nodes, ff02::1. */
const ALL_NODES_MAC = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);
const ALL_NODES = addressBytes("ff02::1");

const ETHERNET_HEADER_SIZE = 14;
const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const ARP_SIZE = 28;
const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const IPV6_HEADER_SIZE = 40;
const NEXT_HEADER_ICMPV6 = 58;
/** Solicitation and advertisement with one option. */
const NEIGHBOUR_MESSAGE_SIZE = 32;
const NEIGHBOUR_SOLICITATION = 135;
const NEIGHBOUR_ADVERTISEMENT = 136;
const FLAG_OVERRIDE = 0x20;
const OPTION_SOURCE_LINK_LAYER = 1;
const OPTION_TARGET_LINK_LAYER = 2;

/**
 * One round of announcements of `vip` from the interface with `mac`. IPv4: both forms of gratuitous ARP,
 * since there are neighbours that listen to one of them only. IPv6: an unsolicited neighbour advertisement.
 */
export function announcementFrames(vip: Address, mac: Uint8Array): Uint8Array[] {
  return familyOf(vip) === 4
    ? [gratuitousArp(vip, mac, "request"), gratuitousArp(vip, mac, "reply")]
    : [unsolicitedAdvertisement(vip, mac)];
}

/**
 * RFC 826, RFC 5227 §3 (announcement, request form) and RFC 5944 §4.6 (reply form: the target hardware
 * address is the sender's; Linux takes a reply for gratuitous only then).
 *
 *  14 hardware type 1 | 16 protocol 0x0800 | 18 lengths 6, 4 | 20 operation
 *  22 sender MAC | 28 sender address | 32 target MAC | 38 target address
 */
export function gratuitousArp(vip: Address, mac: Uint8Array, form: "request" | "reply"): Uint8Array {
  const address = addressBytes(vip);
  const operation = form === "request" ? ARP_REQUEST : ARP_REPLY;
  const frame = arp(BROADCAST, { operation, senderMac: mac, sender: address, target: address });
  if (form === "reply") frame.set(mac, 32);
  return frame;
}

function arp(
  to: Uint8Array,
  message: {
    readonly operation: number;
    readonly senderMac: Uint8Array;
    readonly sender: Uint8Array;
    readonly target: Uint8Array;
  },
): Uint8Array {
  const frame = ethernet(to, message.senderMac, ETHERTYPE_ARP, ARP_SIZE);
  const view = new DataView(frame.buffer);
  view.setUint16(14, 1);
  view.setUint16(16, 0x0800);
  view.setUint8(18, 6);
  view.setUint8(19, 4);
  view.setUint16(20, message.operation);
  frame.set(message.senderMac, 22);
  frame.set(message.sender, 28);
  frame.set(message.target, 38);
  return frame;
}

/**
 * RFC 4861 §4.4 and §7.2.6: to all nodes, solicited 0, override 1, hop limit 255, with our link-layer
 * address.
 *
 *  14 IPv6 header | 54 type 136 | 55 code | 56 checksum | 58 flags | 62 target | 78 option 2, length 1 | 80 MAC
 */
export function unsolicitedAdvertisement(vip: Address, mac: Uint8Array): Uint8Array {
  const target = addressBytes(vip);
  return neighbourMessage(
    { destination: ALL_NODES, mac: ALL_NODES_MAC },
    { address: target, mac },
    { type: NEIGHBOUR_ADVERTISEMENT, flags: FLAG_OVERRIDE, target, option: OPTION_TARGET_LINK_LAYER },
  );
}

/**
 * Asks the neighbour at `mac` whether it still has `address`: an ARP request (RFC 826; unicast, RFC 1122
 * §2.3.2.1) or a neighbour solicitation (RFC 4861 §7.2.2). The answer confirms the kernel's entry for it.
 * `source` is an address of the interface, of the same family.
 */
export function solicitationFrame(
  neighbour: { readonly address: Address; readonly mac: Uint8Array },
  own: { readonly address: Address; readonly mac: Uint8Array },
): Uint8Array {
  const target = addressBytes(neighbour.address);
  const source = addressBytes(own.address);
  if (familyOf(neighbour.address) === 6)
    return neighbourMessage(
      { destination: target, mac: neighbour.mac },
      { address: source, mac: own.mac },
      { type: NEIGHBOUR_SOLICITATION, flags: 0, target, option: OPTION_SOURCE_LINK_LAYER },
    );
  return arp(neighbour.mac, { operation: ARP_REQUEST, senderMac: own.mac, sender: source, target });
}

function neighbourMessage(
  to: { readonly destination: Uint8Array; readonly mac: Uint8Array },
  from: { readonly address: Uint8Array; readonly mac: Uint8Array },
  message: {
    readonly type: number;
    readonly flags: number;
    readonly target: Uint8Array;
    readonly option: number;
  },
): Uint8Array {
  const frame = ethernet(to.mac, from.mac, ETHERTYPE_IPV6, IPV6_HEADER_SIZE + NEIGHBOUR_MESSAGE_SIZE);
  const view = new DataView(frame.buffer);
  view.setUint8(14, 0x60);
  view.setUint16(18, NEIGHBOUR_MESSAGE_SIZE);
  view.setUint8(20, NEXT_HEADER_ICMPV6);
  view.setUint8(21, 255);
  frame.set(from.address, 22);
  frame.set(to.destination, 38);
  view.setUint8(54, message.type);
  view.setUint8(58, message.flags);
  frame.set(message.target, 62);
  view.setUint8(78, message.option);
  view.setUint8(79, 1);
  frame.set(from.mac, 80);
  view.setUint16(56, icmpv6Checksum(frame));
  return frame;
}

function ethernet(
  destination: Uint8Array,
  source: Uint8Array,
  type: number,
  payloadSize: number,
): Uint8Array {
  const frame = new Uint8Array(ETHERNET_HEADER_SIZE + payloadSize);
  frame.set(destination, 0);
  frame.set(source, 6);
  new DataView(frame.buffer).setUint16(12, type);
  return frame;
}

/** RFC 4443 §2.3 over the pseudo-header of RFC 8200 §8.1; the checksum field is still 0. */
function icmpv6Checksum(frame: Uint8Array): number {
  const view = new DataView(frame.buffer);
  let sum = NEIGHBOUR_MESSAGE_SIZE + NEXT_HEADER_ICMPV6;
  // Source and destination stand right before the message.
  for (let offset = 22; offset < frame.length; offset += 2) sum += view.getUint16(offset);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

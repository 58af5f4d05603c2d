// rtnetlink messages, as much as links, addresses, routes and neighbours need (RFC 3549; linux/rtnetlink.h).

import { type Address, addressBytes, addressFromBytes, familyOf } from "@holdfast/model";
import { AF_BRIDGE, AF_INET, AF_INET6 } from "../kernel/numbers.ts";
import { dropsOf } from "./statistics.ts";

export const MESSAGE = {
  ERROR: 2,
  DONE: 3,
  NEW_LINK: 16,
  DEL_LINK: 17,
  GET_LINK: 18,
  SET_LINK: 19,
  NEW_ADDRESS: 20,
  DEL_ADDRESS: 21,
  GET_ADDRESS: 22,
  NEW_ROUTE: 24,
  DEL_ROUTE: 25,
  GET_ROUTE: 26,
  NEW_NEIGHBOUR: 28,
  DEL_NEIGHBOUR: 29,
  GET_NEIGHBOUR: 30,
  NEW_RULE: 32,
  DEL_RULE: 33,
  GET_RULE: 34,
  GET_DISCIPLINE: 38,
  NEW_NEXTHOP: 104,
  DEL_NEXTHOP: 105,
} as const;

export const FLAG = { REQUEST: 1, ACK: 4, ROOT: 0x100, MATCH: 0x200, CREATE: 0x400 } as const;
export const FLAG_DUMP = FLAG.ROOT | FLAG.MATCH;

const HEADER_SIZE = 16;
const LINK_SIZE = 16;
const ADDRESS_SIZE = 8;
const ROUTE_SIZE = 12;
const NEIGHBOUR_SIZE = 12;
const RULE_SIZE = 12;
export const LOOPBACK_INDEX = 1;
/** IPV4_DEVCONF_FORWARDING, inside IFLA_INET_CONF, inside AF_INET. */
const DEVCONF_FORWARDING = 1;
const INET_CONF = 1;
const NTF_USE = 1;
const ARPHRD_ETHER = 1;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_LOWER_UP = 0x1_0000;

const LINK_ATTRIBUTE = {
  ADDRESS: 1,
  NAME: 3,
  MTU: 4,
  MASTER: 10,
  LINK_INFO: 18,
  STATISTICS: 23,
  FAMILIES: 26,
  LINK_NAMESPACE: 37,
  PARENT_DEVICE: 56,
} as const;
const LINK_INFO_KIND = 1;
const ADDRESS_ATTRIBUTE = { ADDRESS: 1, LOCAL: 2 } as const;
const ROUTE_ATTRIBUTE = {
  DESTINATION: 1,
  SOURCE: 2,
  INPUT_INTERFACE: 3,
  INTERFACE: 4,
  GATEWAY: 5,
  METRICS: 8,
  MULTIPATH: 9,
  VIA: 18,
} as const;
/** struct rtmsg: flags, and the one that asks for the route itself instead of what a packet would meet. */
const ROUTE_FLAGS_OFFSET = 8;
const RTM_F_FIB_MATCH = 0x2000;
/** struct rtnexthop: length, flags, hops, interface. */
const MULTIPATH_HOP_SIZE = 8;
const METRIC_MTU = 2;
const NEIGHBOUR_ATTRIBUTE = { DESTINATION: 1, LINK_ADDRESS: 2, CACHE_INFO: 3 } as const;
/** The kernel tells ages in hundredths of a second (USER_HZ). */
const TICK_MS = 10;
const ROUTE_TYPE_UNICAST = 1;
const ROUTE_TYPE_LOCAL = 2;

/** NUD states in which the link-layer address may be used. */
const NEIGHBOUR_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
const NEIGHBOUR_STALE = 0x04;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Empty where the device has none. */
  readonly mac: Uint8Array;
  readonly mtu: number;
  readonly ethernet: boolean;
  readonly loopback: boolean;
  readonly up: boolean;
  readonly carrier: boolean;
  /** "veth", "bridge", "vlan" …; undefined for hardware. */
  readonly kind: string | undefined;
  /** Its other end, or what it lies on, is in another network namespace. */
  readonly isFar: boolean;
  /** It has a device behind it: a card, or a virtual machine's. */
  readonly physical: boolean;
  /** Index of the bridge or bond it belongs to. */
  readonly master: number | undefined;
  /** Packets that the device dropped by itself, as of this message. */
  readonly receiveDrops: number;
  readonly transmitDrops: number;
}

export interface InterfaceAddress {
  readonly interfaceIndex: number;
  readonly address: Address;
  readonly prefixLength: number;
}

export interface Route {
  readonly interfaceIndex: number;
  /** undefined: the destination is on the link. */
  readonly gateway: Address | undefined;
  /** undefined: the interface's. */
  readonly mtu: number | undefined;
}

/** The entry of a routing table that a destination falls under. */
export interface MatchedRoute {
  /** 0: a default route. */
  readonly prefixLength: number;
  /** Several with several next hops. */
  readonly interfaceIndexes: readonly number[];
}

export interface Neighbour {
  readonly interfaceIndex: number;
  readonly address: Address;
  /** undefined: not resolved, or failed. */
  readonly mac: Uint8Array | undefined;
  readonly stale: boolean;
  /** Milliseconds since it was last heard from, in steps of 10; undefined: the kernel does not say. */
  readonly confirmedForMs: number | undefined;
}

/** One message out of a datagram: its body without the netlink header. */
export interface Message {
  readonly type: number;
  readonly sequence: number;
  readonly body: Buffer;
}

/** Messages of one datagram; what is cut short ends it. */
export function messagesOf(datagram: Buffer): Message[] {
  const messages: Message[] = [];
  for (let at = 0; at + HEADER_SIZE <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_SIZE || at + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      sequence: datagram.readUInt32LE(at + 8),
      body: datagram.subarray(at + HEADER_SIZE, at + length),
    });
    at += (length + 3) & ~3;
  }
  return messages;
}

export function request(type: number, flags: number, sequence: number, body: Buffer): Buffer {
  const message = Buffer.alloc(HEADER_SIZE + body.length);
  message.writeUInt32LE(message.length);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags | FLAG.REQUEST, 6);
  message.writeUInt32LE(sequence, 8);
  body.copy(message, HEADER_SIZE);
  return message;
}

export const dumpBody = (): Buffer => Buffer.alloc(LINK_SIZE);

/** Which way a packet would go. */
export interface RouteQuestion {
  readonly destination: Address;
  /** Need not be this host's. undefined: any. */
  readonly source?: Address | undefined;
  /** Index of the VRF device in whose table the answer stands; undefined: none. */
  readonly vrf?: number | undefined;
}

/**
 * The kernel refuses an IPv4 source that is not its own, unless the packet is said to have come in by an
 * interface: by the loopback for what is sent here, which rules call "iif lo", too. That one has to forward;
 * see forwardingBody.
 */
export function routeBody({ destination, source, vrf }: RouteQuestion): Buffer {
  const bytes = addressBytes(destination);
  const family = bytes.length === 4 ? AF_INET : AF_INET6;
  const body = Buffer.alloc(ROUTE_SIZE);
  body[0] = family;
  body[1] = bytes.length * 8;
  const parts = [body, attribute(ROUTE_ATTRIBUTE.DESTINATION, bytes)];
  if (source !== undefined) {
    body[2] = bytes.length * 8;
    parts.push(attribute(ROUTE_ATTRIBUTE.SOURCE, addressBytes(source)));
  }
  if (source !== undefined && family === AF_INET)
    parts.push(attribute(ROUTE_ATTRIBUTE.INPUT_INTERFACE, word(vrf ?? LOOPBACK_INDEX)));
  else if (vrf !== undefined) parts.push(attribute(ROUTE_ATTRIBUTE.INTERFACE, word(vrf)));
  return Buffer.concat(parts);
}

/** Sets net.ipv4.conf.IFACE.forwarding; also where /proc/sys cannot be written. */
export function forwardingBody(interfaceIndex: number): Buffer {
  const body = Buffer.alloc(LINK_SIZE);
  body.writeInt32LE(interfaceIndex, 4);
  const forwarding = attribute(DEVCONF_FORWARDING, word(1));
  const settings = attribute(AF_INET, attribute(INET_CONF, forwarding));
  return Buffer.concat([body, attribute(LINK_ATTRIBUTE.FAMILIES, settings)]);
}

/** A rule, as much of it as tells whether sources matter. undefined: of another family. */
export function ruleOf(body: Buffer): { readonly family: 4 | 6; readonly hasSource: boolean } | undefined {
  if (body.length < RULE_SIZE || (body[0] !== AF_INET && body[0] !== AF_INET6)) return undefined;
  return { family: body[0] === AF_INET ? 4 : 6, hasSource: body[2] !== 0 };
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/**
 * Asks for the entry by which a destination is routed (Linux 4.13 on); `device`: the VRF whose table it is.
 */
export function matchBody(destination: Address, device: number | undefined): Buffer {
  const body = routeBody({ destination, vrf: device });
  body.writeUInt32LE(RTM_F_FIB_MATCH, ROUTE_FLAGS_OFFSET);
  return body;
}

/** One neighbour, by interface and address. */
export function neighbourBody(interfaceIndex: number, address: Address): Buffer {
  const body = Buffer.alloc(NEIGHBOUR_SIZE);
  body[0] = familyOf(address) === 4 ? AF_INET : AF_INET6;
  body.writeInt32LE(interfaceIndex, 4);
  return Buffer.concat([body, attribute(NEIGHBOUR_ATTRIBUTE.DESTINATION, addressBytes(address))]);
}

/** Asks the kernel to resolve the address, or to confirm it when it is stale, as if a packet went there. */
export function useNeighbourBody(interfaceIndex: number, address: Address): Buffer {
  const body = neighbourBody(interfaceIndex, address);
  body[10] = NTF_USE;
  return body;
}

export function linkOf(body: Buffer): Link | undefined {
  // Of a bridge's port there are messages of another family: one that "deletes" says that it left the bridge.
  if (body.length < LINK_SIZE || body[0] === AF_BRIDGE) return undefined;
  const attributes = attributesOf(body, LINK_SIZE);
  const flags = body.readUInt32LE(8);
  const info = attributes.get(LINK_ATTRIBUTE.LINK_INFO);
  const kind = info && textOf(attributesOf(info, 0).get(LINK_INFO_KIND));
  const ethernet = body.readUInt16LE(2) === ARPHRD_ETHER;
  return {
    index: body.readInt32LE(4),
    name: textOf(attributes.get(LINK_ATTRIBUTE.NAME)) ?? "",
    mac: Uint8Array.from(attributes.get(LINK_ATTRIBUTE.ADDRESS) ?? []),
    mtu: attributes.get(LINK_ATTRIBUTE.MTU)?.readUInt32LE() ?? 0,
    ethernet,
    loopback: (flags & IFF_LOOPBACK) !== 0,
    up: (flags & IFF_UP) !== 0,
    carrier: (flags & IFF_LOWER_UP) !== 0,
    kind,
    isFar: attributes.has(LINK_ATTRIBUTE.LINK_NAMESPACE),
    // Kernels before 5.14 do not name the device: there, what is of no kind is hardware.
    physical: attributes.has(LINK_ATTRIBUTE.PARENT_DEVICE) || (ethernet && kind === undefined),
    master: attributes.get(LINK_ATTRIBUTE.MASTER)?.readUInt32LE(),
    ...dropsOf(attributes.get(LINK_ATTRIBUTE.STATISTICS)),
  };
}

export function addressOf(body: Buffer): InterfaceAddress | undefined {
  if (body.length < ADDRESS_SIZE) return undefined;
  const attributes = attributesOf(body, ADDRESS_SIZE);
  // Of a point-to-point link ADDRESS is the other end.
  const bytes = attributes.get(ADDRESS_ATTRIBUTE.LOCAL) ?? attributes.get(ADDRESS_ATTRIBUTE.ADDRESS);
  if (bytes === undefined) return undefined;
  return {
    interfaceIndex: body.readUInt32LE(4),
    address: addressFromBytes(bytes),
    prefixLength: body[1] as number,
  };
}

/** Next hops of a default route, whichever table it is in; none for any other message. */
export function defaultGatewaysOf(body: Buffer): { interfaceIndex: number; address: Address }[] {
  if (body.length < ROUTE_SIZE || body[1] !== 0 || body[7] !== ROUTE_TYPE_UNICAST) return [];
  const attributes = attributesOf(body, ROUTE_SIZE);
  const hops: { interfaceIndex: number; address: Address }[] = [];
  const add = (interfaceIndex: number | undefined, found: Map<number, Buffer>) => {
    const gateway = found.get(ROUTE_ATTRIBUTE.GATEWAY) ?? found.get(ROUTE_ATTRIBUTE.VIA)?.subarray(2);
    if (gateway?.length === 4 || gateway?.length === 16)
      hops.push({ interfaceIndex: interfaceIndex ?? 0, address: addressFromBytes(gateway) });
  };
  add(attributes.get(ROUTE_ATTRIBUTE.INTERFACE)?.readUInt32LE(), attributes);
  // struct rtnexthop: length, flags, weight, interface; attributes of its own.
  const several = attributes.get(ROUTE_ATTRIBUTE.MULTIPATH);
  for (let at = 0; several !== undefined && at + MULTIPATH_HOP_SIZE <= several.length; ) {
    const length = several.readUInt16LE(at);
    if (length < MULTIPATH_HOP_SIZE || at + length > several.length) break;
    add(several.readInt32LE(at + 4), attributesOf(several.subarray(at, at + length), MULTIPATH_HOP_SIZE));
    at += (length + 3) & ~3;
  }
  return hops;
}

/** The destination is this host's own. */
export function isLocalRoute(body: Buffer): boolean {
  return body.length >= ROUTE_SIZE && body[7] === ROUTE_TYPE_LOCAL;
}

/** undefined: nothing that a packet could be sent by. */
export function routeOf(body: Buffer): Route | undefined {
  if (body.length < ROUTE_SIZE || body[7] !== ROUTE_TYPE_UNICAST) return undefined;
  const attributes = attributesOf(body, ROUTE_SIZE);
  const interfaceIndex = attributes.get(ROUTE_ATTRIBUTE.INTERFACE)?.readUInt32LE();
  if (interfaceIndex === undefined) return undefined;
  // An IPv4 destination behind an IPv6 gateway comes as VIA: family, then the address.
  const gateway = attributes.get(ROUTE_ATTRIBUTE.GATEWAY) ?? attributes.get(ROUTE_ATTRIBUTE.VIA)?.subarray(2);
  const metrics = attributes.get(ROUTE_ATTRIBUTE.METRICS);
  return {
    interfaceIndex,
    gateway: gateway && addressFromBytes(gateway),
    mtu: metrics && attributesOf(metrics, 0).get(METRIC_MTU)?.readUInt32LE(),
  };
}

/** undefined: nothing that a packet could be sent by. */
export function matchedRouteOf(body: Buffer): MatchedRoute | undefined {
  if (body.length < ROUTE_SIZE || body[7] !== ROUTE_TYPE_UNICAST) return undefined;
  const attributes = attributesOf(body, ROUTE_SIZE);
  const interfaceIndexes: number[] = [];
  const single = attributes.get(ROUTE_ATTRIBUTE.INTERFACE);
  if (single !== undefined && single.length >= 4) interfaceIndexes.push(single.readUInt32LE());
  const hops = attributes.get(ROUTE_ATTRIBUTE.MULTIPATH) ?? Buffer.alloc(0);
  for (let at = 0; at + MULTIPATH_HOP_SIZE <= hops.length; ) {
    const length = hops.readUInt16LE(at);
    if (length < MULTIPATH_HOP_SIZE) break;
    interfaceIndexes.push(hops.readUInt32LE(at + 4));
    at += (length + 3) & ~3;
  }
  return { prefixLength: body[1] as number, interfaceIndexes };
}

export function neighbourOf(body: Buffer): Neighbour | undefined {
  if (body.length < NEIGHBOUR_SIZE) return undefined;
  const family = body[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = attributesOf(body, NEIGHBOUR_SIZE);
  const address = attributes.get(NEIGHBOUR_ATTRIBUTE.DESTINATION);
  if (address === undefined) return undefined;
  const state = body.readUInt16LE(8);
  const mac = attributes.get(NEIGHBOUR_ATTRIBUTE.LINK_ADDRESS);
  const info = attributes.get(NEIGHBOUR_ATTRIBUTE.CACHE_INFO);
  const confirmed = info !== undefined && info.length >= 4 ? info.readUInt32LE() : undefined;
  return {
    interfaceIndex: body.readInt32LE(4),
    address: addressFromBytes(address),
    mac: mac?.length === 6 && state & NEIGHBOUR_VALID ? Uint8Array.from(mac) : undefined,
    stale: state === NEIGHBOUR_STALE,
    // struct nda_cacheinfo: confirmed, used, updated, reference count.
    confirmedForMs: confirmed === undefined ? undefined : confirmed * TICK_MS,
  };
}

export function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc((4 + value.length + 3) & ~3);
  bytes.writeUInt16LE(4 + value.length);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

/** Attributes from `at` on; the flags of nested and network byte order are taken off the type. */
export function attributesOf(body: Buffer, at: number): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let offset = at; offset + 4 <= body.length; ) {
    const length = body.readUInt16LE(offset);
    if (length < 4 || offset + length > body.length) break;
    attributes.set(body.readUInt16LE(offset + 2) & 0x3fff, body.subarray(offset + 4, offset + length));
    offset += (length + 3) & ~3;
  }
  return attributes;
}

export function textOf(bytes: Buffer | undefined): string | undefined {
  return bytes?.toString("latin1", 0, Math.max(0, bytes.indexOf(0) < 0 ? bytes.length : bytes.indexOf(0)));
}

// IP addresses as the domain sees them: canonical text, so that maps and sets can key on them.
//
// IPv4 is dotted decimal without leading zeros; IPv6 is RFC 5952 text. An IPv4-mapped IPv6 address
// (::ffff:a.b.c.d) is never canonical: `parseAddress` refuses it, since a packet carries one family.

import { HoldfastError } from "./errors.ts";

/** A canonical IPv4 or IPv6 address in text form. Made by `parseAddress` or `addressFromBytes` only. */
export type Address = string & { readonly __brand?: "Address" };

export type AddressFamily = 4 | 6;

/** The family of a canonical address. */
export function familyOf(address: Address): AddressFamily {
  return address.includes(":") ? 6 : 4;
}

/** Bytes of an address by family. */
export const IPV4_ADDRESS_SIZE = 4;
export const IPV6_ADDRESS_SIZE = 16;

/** The canonical form of what an operator wrote. Throws ADDRESS_INVALID; a zone (%eth0) or a prefix is invalid too. */
export function parseAddress(text: string): Address {
  const bytes = text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
  if (bytes === undefined || isIpv4Mapped(bytes)) throw new HoldfastError("ADDRESS_INVALID", { text });
  return addressFromBytes(bytes);
}

/**
 * The address in bytes[offset, offset + size), size 4 or 16. Total: any bytes have a text. An IPv4-mapped one is
 * written in hexadecimal groups and equals nothing that `parseAddress` makes.
 */
export function addressFromBytes(
  bytes: Uint8Array,
  offset = 0,
  size: number = bytes.length - offset,
): Address {
  if (size === IPV4_ADDRESS_SIZE) {
    return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
  }
  const groups: number[] = [];
  for (let i = 0; i < IPV6_ADDRESS_SIZE; i += 2) {
    groups.push(((bytes[offset + i] as number) << 8) | (bytes[offset + i + 1] as number));
  }
  return ipv6Text(groups);
}

/** The 4 or 16 bytes of a canonical address. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = address.includes(":") ? ipv6Bytes(address) : ipv4Bytes(address);
  if (bytes === undefined) throw new HoldfastError("ADDRESS_INVALID", { text: address });
  return bytes;
}

function isIpv4Mapped(bytes: Uint8Array): boolean {
  if (bytes.length !== IPV6_ADDRESS_SIZE) return false;
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

const DECIMAL_OCTET = /^(?:0|[1-9]\d{0,2})$/;
const HEXADECIMAL_GROUP = /^[0-9a-fA-F]{1,4}$/;

function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== IPV4_ADDRESS_SIZE) return undefined;
  const bytes = new Uint8Array(IPV4_ADDRESS_SIZE);
  for (let i = 0; i < IPV4_ADDRESS_SIZE; i++) {
    const part = parts[i] as string;
    const octet = Number(part);
    if (!DECIMAL_OCTET.test(part) || octet > 255) return undefined;
    bytes[i] = octet;
  }
  return bytes;
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0] as string);
  const tail = halves.length === 2 ? groupsOf(halves[1] as string) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  // "::" stands for at least one group.
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return Uint8Array.from(groups.flatMap((group) => [group >>> 8, group & 0xff]));
}

function groupsOf(text: string): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    if (i === parts.length - 1 && part.includes(".")) {
      const embedded = ipv4Bytes(part);
      if (embedded === undefined) return undefined;
      const [a, b, c, d] = embedded as unknown as [number, number, number, number];
      groups.push((a << 8) | b, (c << 8) | d);
    } else {
      if (!HEXADECIMAL_GROUP.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** RFC 5952 §4: lower case, no leading zeros, "::" for the longest run of two or more zero groups, the first of equals. */
function ipv6Text(groups: readonly number[]): string {
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length += 1;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    i += length;
  }
  const text = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  return best === -1 ? text(0, 8) : `${text(0, best)}::${text(best + bestLength, 8)}`;
}

/** Whether text could be an address at all; longer ones are refused unread. */
const TEXT_LENGTH_MAX = 45;

/** The canonical form of IPv4 or IPv6 text; undefined for anything else, and for zones and IPv4-mapped IPv6. */
export function parseAddress(text: string): Address | undefined {
  const bytes = bytesOfText(text);
  if (bytes === undefined || isMapped(bytes)) return undefined;
  return addressFromBytes(bytes);
}

/** The canonical text of the 4 or 16 bytes at `offset`. The caller has checked that they are there. */
export function addressFromBytes(
  bytes: Uint8Array,
  offset = 0,
  size: number = bytes.length - offset,
): Address {
  if (size === 4) return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
  return ipv6Text(bytes, offset);
}

/** 4 or 16 bytes of a canonical address. Throws on text that is not an address: our own bug, not the network's. */
export function addressToBytes(address: Address): Uint8Array {
  const bytes = bytesOfText(address);
  if (bytes === undefined) throw new TypeError(`not an address: ${address}`);
  return bytes;
}

// RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zero groups becomes "::".
function ipv6Text(bytes: Uint8Array, offset: number): string {
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; ) {
    let end = i;
    while (end < 8 && bytes[offset + 2 * end] === 0 && bytes[offset + 2 * end + 1] === 0) end++;
    if (end - i > bestLength) {
      bestStart = i;
      bestLength = end - i;
    }
    i = end + 1;
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i === bestStart) {
      text += "::";
      i += bestLength - 1;
      continue;
    }
    if (text !== "" && !text.endsWith("::")) text += ":";
    text += (((bytes[offset + 2 * i] as number) << 8) | (bytes[offset + 2 * i + 1] as number)).toString(16);
  }
  return text;
}

function bytesOfText(text: string): Uint8Array | undefined {
  if (text.length > TEXT_LENGTH_MAX) return undefined;
  return text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
}

function ipv4Bytes(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i] as string;
    // A leading zero is octal to some parsers: refused, so that no two readers disagree.
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return undefined;
    bytes[i] = Number(part);
  }
  return bytes;
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const groups: number[][] = [];
  for (const half of halves) {
    const parsed = ipv6Groups(half, half === halves.at(-1));
    if (parsed === undefined) return undefined;
    groups.push(parsed);
  }
  const head = groups[0] as number[];
  const tail = groups[1] ?? [];
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const all = [...head, ...new Array<number>(halves.length === 2 ? missing : 0).fill(0), ...tail];
  const bytes = new Uint8Array(16);
  for (let i = 0; i < 8; i++) {
    bytes[2 * i] = (all[i] as number) >>> 8;
    bytes[2 * i + 1] = all[i] as number;
  }
  return bytes;
}

function ipv6Groups(half: string, last: boolean): number[] | undefined {
  if (half === "") return [];
  const groups: number[] = [];
  const parts = half.split(":");
  for (let i = 0; i < parts.length; i++) {
    const part = parts[i] as string;
    if (last && i === parts.length - 1 && part.includes(".")) {
      const tail = ipv4Bytes(part);
      if (tail === undefined) return undefined;
      groups.push(
        ((tail[0] as number) << 8) | (tail[1] as number),
        ((tail[2] as number) << 8) | (tail[3] as number),
      );
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return groups;
}

/** ::ffff:a.b.c.d */
function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return true;
}

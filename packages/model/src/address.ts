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

/**
 * The canonical form of what an operator wrote. Throws ADDRESS_INVALID; a zone (%eth0) or a prefix is invalid
 * too.
 */
export function parseAddress(text: string): Address {
  const bytes = text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
  if (bytes === undefined || isIpv4Mapped(bytes)) throw new HoldfastError("ADDRESS_INVALID", { text });
  return addressFromBytes(bytes);
}

/**
 * The address in bytes[offset, offset + size), size 4 or 16. Total: any bytes have a text. An IPv4-mapped one
 * is written in hexadecimal groups and equals nothing that `parseAddress` makes.
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
  // An embedded IPv4 address stands at the very end.
  if (halves.length > 2 || (halves.length === 2 && (halves[0] as string).includes("."))) return undefined;
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

/**
 * RFC 5952 §4: lower case, no leading zeros, "::" for the longest run of two or more zero groups, the first
 * of equals.
 */
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

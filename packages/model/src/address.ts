// IP addresses as the domain sees them: canonical text, so that maps and sets can key on them.
//
// IPv4 is dotted decimal without leading zeros; IPv6 is RFC 5952 text. An IPv4-mapped IPv6 address
// (::ffff:a.b.c.d) is never canonical: `parseAddress` refuses it, since a packet carries one family.

import { HoldfastError } from "./errors.ts";

/**
 * A canonical IPv4 or IPv6 address in text form, made by `parseAddress` or `addressFromBytes`; a literal
 * needs no wrapping. The type checks the shape alone: four numbers with dots, or text with a colon. Only
 * `parseAddress` checks the rest: octets up to 255, hexadecimal groups, the canonical form, one family.
 */
export type Address = `${number}.${number}.${number}.${number}` | `${string}:${string}`;

export type AddressFamily = 4 | 6;

/** The family of a canonical address. */
export function familyOf(address: Address): AddressFamily {
  return address.includes(":") ? 6 : 4;
}

/**
 * Stands where a record knows no address, or could not be read. It equals no address; `addressBytes` throws
 * for it.
 */
export const NO_ADDRESS = "" as Address;

/** Bytes of an address by family. */
export const IPV4_ADDRESS_SIZE = 4;
export const IPV6_ADDRESS_SIZE = 16;

/**
 * The canonical form of what an operator wrote. Throws ADDRESS_INVALID; a zone (%eth0) or a prefix is invalid
 * too.
 */
export function parseAddress(text: string): Address {
  const address = canonicalAddress(text);
  if (address === undefined) throw new HoldfastError("ADDRESS_INVALID", { text });
  return address;
}

/** As `parseAddress`; undefined for what it throws for. */
export function canonicalAddress(text: string): Address | undefined {
  const bytes = addressTextBytes(text);
  return bytes === undefined || isIpv4Mapped(bytes) ? undefined : addressFromBytes(bytes);
}

/** Whether a value is an address in its canonical form. */
export function isAddress(value: unknown): value is Address {
  return typeof value === "string" && canonicalAddress(value) === value;
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
    const octet = (at: number) => bytes[offset + at] as number;
    return `${octet(0)}.${octet(1)}.${octet(2)}.${octet(3)}`;
  }
  const groups: number[] = [];
  for (let i = 0; i < IPV6_ADDRESS_SIZE; i += 2) {
    groups.push(((bytes[offset + i] as number) << 8) | (bytes[offset + i + 1] as number));
  }
  return ipv6Text(groups);
}

/** The 4 or 16 bytes of a canonical address. */
export function addressBytes(address: Address): Uint8Array {
  const bytes = addressTextBytes(address);
  if (bytes === undefined) throw new HoldfastError("ADDRESS_INVALID", { text: address });
  return bytes;
}

/** The bytes of any text of an address, an IPv4-mapped one too; undefined: it is none. */
export function addressTextBytes(text: string): Uint8Array | undefined {
  return text.includes(":") ? ipv6Bytes(text) : ipv4Bytes(text);
}

function isIpv4Mapped(bytes: Uint8Array): boolean {
  if (bytes.length !== IPV6_ADDRESS_SIZE) return false;
  for (let i = 0; i < 10; i++) if (bytes[i] !== 0) return false;
  return bytes[10] === 0xff && bytes[11] === 0xff;
}

const DOT = 46;
const COLON = 58;

/** The value of a digit of base 16 by its character's code; −1: it is none. */
function digitOf(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  const letter = code | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}

// Both are read character by character: the slow path does so several times for each flow.

function ipv4Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(IPV4_ADDRESS_SIZE);
  let at = 0;
  let octet = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (octet < 0 || at === IPV4_ADDRESS_SIZE - 1) return undefined;
      bytes[at++] = octet;
      octet = -1;
      continue;
    }
    const digit = digitOf(code);
    // No leading zeros: they are octal to some.
    if (digit < 0 || digit > 9 || octet === 0) return undefined;
    octet = octet < 0 ? digit : octet * 10 + digit;
    if (octet > 255) return undefined;
  }
  if (octet < 0 || at !== IPV4_ADDRESS_SIZE - 1) return undefined;
  bytes[at] = octet;
  return bytes;
}

function ipv6Bytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(IPV6_ADDRESS_SIZE);
  let at = 0;
  /** Where "::" stands. */
  let gap = -1;
  let i = 0;
  if (text.startsWith("::")) {
    gap = 0;
    i = 2;
  }
  while (i < text.length) {
    if (at === IPV6_ADDRESS_SIZE) return undefined;
    const start = i;
    let group = 0;
    for (let digit = digitOf(text.charCodeAt(i)); digit >= 0; digit = digitOf(text.charCodeAt(i))) {
      group = (group << 4) | digit;
      if (++i - start > 4) return undefined;
    }
    if (text.charCodeAt(i) === DOT) {
      // An embedded IPv4 address stands at the very end.
      const embedded = ipv4Bytes(text.slice(start));
      if (embedded === undefined || at > IPV6_ADDRESS_SIZE - IPV4_ADDRESS_SIZE) return undefined;
      bytes.set(embedded, at);
      at += IPV4_ADDRESS_SIZE;
      break;
    }
    if (i === start) return undefined;
    bytes[at] = group >>> 8;
    bytes[at + 1] = group & 0xff;
    at += 2;
    if (i === text.length) break;
    if (text.charCodeAt(i) !== COLON || ++i === text.length) return undefined;
    if (text.charCodeAt(i) !== COLON) continue;
    if (gap >= 0) return undefined;
    gap = at;
    i += 1;
  }
  return spread(bytes, at, gap);
}

/** `at` bytes with what "::" stands for, which is at least one group. */
function spread(bytes: Uint8Array, at: number, gap: number): Uint8Array | undefined {
  if (gap < 0) return at === IPV6_ADDRESS_SIZE ? bytes : undefined;
  if (at > IPV6_ADDRESS_SIZE - 2) return undefined;
  const tail = IPV6_ADDRESS_SIZE - (at - gap);
  bytes.copyWithin(tail, gap, at);
  return bytes.fill(0, gap, tail);
}

/**
 * RFC 5952 §4: lower case, no leading zeros, "::" for the longest run of two or more zero groups, the first
 * of equals.
 */
function ipv6Text(groups: readonly number[]): Address {
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
  // Eight groups have colons between them.
  return best === -1 ? (text(0, 8) as Address) : `${text(0, best)}::${text(best + bestLength, 8)}`;
}

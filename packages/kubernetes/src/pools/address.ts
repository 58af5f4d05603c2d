// Addresses as numbers, for ranges; and in the one way of writing them that members use, too (RFC 5952).
import ipaddr from "ipaddr.js";

export type Family = 4 | 6;

export interface Range {
  readonly family: Family;
  readonly first: bigint;
  readonly last: bigint;
}

const BITS = { 4: 32n, 6: 128n } as const;

/** undefined: not an address. */
export function addressNumber(text: string): { family: Family; value: bigint } | undefined {
  const isFour = ipaddr.IPv4.isValidFourPartDecimal(text);
  if (!isFour && !(text.includes(":") && ipaddr.IPv6.isValid(text) && !text.includes("%"))) return undefined;
  const bytes = ipaddr.parse(text).toByteArray();
  return { family: isFour ? 4 : 6, value: bytes.reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n) };
}

export function addressText(family: Family, value: bigint): string {
  const bytes = Array.from({ length: Number(BITS[family]) / 8 }, (_, index) =>
    Number((value >> (BITS[family] - 8n * BigInt(index + 1))) & 0xffn),
  );
  return ipaddr.fromByteArray(bytes).toString();
}

/** The address as members write it; undefined: not an address. */
export function canonical(text: string): string | undefined {
  const found = addressNumber(text.trim());
  return found && addressText(found.family, found.value);
}

export function familyOf(address: string): Family {
  return address.includes(":") ? 6 : 4;
}

/**
 * `10.0.0.0/24`, `10.0.0.5-10.0.0.9` or one address. A prefix may have bits behind its length: it is the whole prefix, as
 * kube-loxilb reads it. `avoidsEnds`: a prefix without its first and, of IPv4, its last address.
 */
export function parseRange(text: string, avoidsEnds: boolean): Range | undefined {
  const slash = text.indexOf("/");
  if (slash >= 0) return prefixRange(text.slice(0, slash), text.slice(slash + 1), avoidsEnds);
  const [from = "", to] = text.split("-").map((part) => part.trim());
  const first = addressNumber(from);
  const last = to === undefined ? first : addressNumber(to);
  if (first === undefined || last === undefined || first.family !== last.family || last.value < first.value)
    return undefined;
  return { family: first.family, first: first.value, last: last.value };
}

function prefixRange(address: string, lengthText: string, avoidsEnds: boolean): Range | undefined {
  const base = addressNumber(address.trim());
  if (base === undefined || !/^\d{1,3}$/.test(lengthText)) return undefined;
  const hostBits = BITS[base.family] - BigInt(lengthText);
  if (hostBits < 0n) return undefined;
  const first = (base.value >> hostBits) << hostBits;
  const last = first + (1n << hostBits) - 1n;
  if (!avoidsEnds || hostBits < 2n) return { family: base.family, first, last };
  return { family: base.family, first: first + 1n, last: base.family === 4 ? last - 1n : last };
}

export function rangeHas({ family, first, last }: Range, address: string): boolean {
  const found = addressNumber(address);
  return found !== undefined && found.family === family && found.value >= first && found.value <= last;
}

/** A prefix as members write it, without bits behind its length; undefined: not a prefix. */
export function canonicalPrefix(text: string): string | undefined {
  const [, length, ...more] = text.trim().split("/");
  if (length === undefined || more.length > 0) return undefined;
  const range = parseRange(text.trim(), false);
  return range && `${addressText(range.family, range.first)}/${Number(length)}`;
}

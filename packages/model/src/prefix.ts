// CIDR prefixes, and what lies inside them.
import { type Address, addressBytes, addressFromBytes } from "./address.ts";

export interface Prefix {
  readonly bytes: Uint8Array;
  readonly bitCount: number;
}

/** undefined: not CIDR text. The schema has checked configuration; this is the second look. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address, length, ...rest] = text.split("/");
  if (address === undefined || length === undefined || rest.length > 0 || !/^\d{1,3}$/.test(length))
    return undefined;
  try {
    const bytes = addressBytes(address as Address);
    const bitCount = Number(length);
    return bitCount <= bytes.length * 8 ? { bytes, bitCount } : undefined;
  } catch {
    return undefined;
  }
}

export function prefixContains(prefix: Prefix, address: Uint8Array | Address): boolean {
  return typeof address === "string"
    ? containsBytes(prefix, addressBytes(address))
    : containsBytes(prefix, address);
}

function containsBytes(prefix: Prefix, address: Uint8Array): boolean {
  if (prefix.bytes.length !== address.length) return false;
  const whole = prefix.bitCount >>> 3;
  for (let i = 0; i < whole; i++) if (prefix.bytes[i] !== address[i]) return false;
  const rest = prefix.bitCount & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((prefix.bytes[whole] as number) & mask) === ((address[whole] as number) & mask);
}

/** The one text of a prefix, without bits behind its length; undefined: not CIDR text. */
export function canonicalPrefix(text: string): string | undefined {
  const prefix = parsePrefix(text);
  if (prefix === undefined) return undefined;
  const { bytes, bitCount } = prefix;
  const network = bytes.map((byte, i) => byte & (0xff00 >> Math.min(8, Math.max(0, bitCount - 8 * i))));
  return `${addressFromBytes(network)}/${bitCount}`;
}

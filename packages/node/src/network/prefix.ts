// Prefixes and what lies inside them.
import { type Address, addressBytes, familyOf } from "@holdfast/model";

export interface Prefix {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** Reads `ADDRESS/LENGTH`; undefined when it is none. */
export function parsePrefix(text: string): Prefix | undefined {
  const [address, length] = text.split("/");
  if (address === undefined || length === undefined || !/^\d+$/.test(length)) return undefined;
  try {
    const bytes = addressBytes(address);
    return Number(length) <= bytes.length * 8 ? { bytes, length: Number(length) } : undefined;
  } catch {
    return undefined;
  }
}

export function contains(prefix: Prefix, address: Address): boolean {
  if ((familyOf(address) === 4 ? 4 : 16) !== prefix.bytes.length) return false;
  const bytes = addressBytes(address);
  for (let bit = 0; bit < prefix.length; bit += 8) {
    const mask = (0xff00 >> Math.min(8, prefix.length - bit)) & 0xff;
    if ((((bytes[bit >> 3] ?? 0) ^ (prefix.bytes[bit >> 3] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}

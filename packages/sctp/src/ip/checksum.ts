// The Internet checksum (RFC 1071) and its increment (RFC 1624, equation 3).

/** One's complement sum of 16-bit words over bytes[start, end), not folded, not complemented. */
export function onesSum(bytes: Uint8Array, start: number, end: number): number {
  let sum = 0;
  let i = start;
  for (; i + 1 < end; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] as number);
  if (i < end) sum += (bytes[i] as number) << 8;
  return sum;
}

/** Folds a sum of up to 2^47 to 16 bits. Zero only when all summands were. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  return folded;
}

/** The checksum of bytes[start, end), plus an unfolded sum such as a pseudo header's. */
export function internetChecksum(bytes: Uint8Array, start: number, end: number, sum = 0): number {
  return ~fold(sum + onesSum(bytes, start, end)) & 0xffff;
}

/**
 * The summand that replacing old bytes by new ones adds: the sum of ~m + m' (RFC 1624). Both have the same
 * even length and lie at an even offset. Sum such deltas, then `applyDelta`.
 */
export function checksumDelta(old: Uint8Array, replacement: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i + 1 < old.length; i += 2) {
    sum += 0xffff - (((old[i] as number) << 8) | (old[i + 1] as number));
    sum += ((replacement[i] as number) << 8) | (replacement[i + 1] as number);
  }
  return fold(sum);
}

/** HC' = ~(~HC + ~m + m'). */
export function applyDelta(checksum: number, delta: number): number {
  return ~fold((~checksum & 0xffff) + delta) & 0xffff;
}

/** Sum of an IPv6 pseudo header (RFC 8200 §8.1); addresses are 16 bytes each. */
export function pseudoHeaderSum(
  source: Uint8Array,
  destination: Uint8Array,
  upperLength: number,
  nextHeader: number,
): number {
  return onesSum(source, 0, 16) + onesSum(destination, 0, 16) + upperLength + nextHeader;
}

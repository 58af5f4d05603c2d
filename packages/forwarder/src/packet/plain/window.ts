// Sequence numbers of TCP: circles of 32 bits.

/** RFC 7323 §2.3: the largest window scale. */
export const WINDOW_SCALE_MAX = 14;

/** The largest window with a scale. */
export function windowOf(scale: number): number {
  return 0xffff * 2 ** scale;
}

/** Whether `number` lies in [from, from + size]. */
export function isWithin(number: number, from: number, size: number): boolean {
  return (number - from) >>> 0 <= size;
}

/** Whether two numbers lie no further apart than `size` (at most 2^30). */
export function isNear(a: number, b: number, size: number): boolean {
  return (a - b + size) >>> 0 <= 2 * size;
}

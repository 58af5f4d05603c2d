// Sequence numbers of TCP: circles of 32 bits.

/** RFC 7323 §2.3: the largest window scale. */
export const WINDOW_SCALE_MAX = 14;

/** What is sent before both ends have agreed on a scale is no more than this. */
export const SYN_WINDOW = 0xffff;

/** The largest window with a scale. */
export function windowOf(scale: number): number {
  return SYN_WINDOW * 2 ** scale;
}

/** Whether `number` lies in [from, from + size]. */
export function isWithin(number: number, from: number, size: number): boolean {
  return (number - from) >>> 0 <= size;
}

/** Whether two numbers lie no further apart than `size` (at most 2^30). */
export function isNear(a: number, b: number, size: number): boolean {
  return (a - b + size) >>> 0 <= 2 * size;
}

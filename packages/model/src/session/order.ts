// Total orders for tie-breaks. Text is compared by code unit, so that every member agrees whatever its
// locale.

export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Lexicographic; a prefix is smaller. */
export function compareTexts(a: readonly string[], b: readonly string[]): number {
  const count = Math.min(a.length, b.length);
  for (let i = 0; i < count; i++) {
    const order = compareText(a[i] as string, b[i] as string);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

/**
 * The smallest `count` of a sorted union of two sorted sets without duplicates. Returns `a` when nothing is
 * new.
 */
export function joinSortedTexts<Text extends string>(
  a: readonly Text[],
  b: readonly Text[],
  count: number,
): readonly Text[] {
  if (b.length === 0 || a === b) return a.length <= count ? a : a.slice(0, count);
  const all = [...new Set([...a, ...b])].sort(compareText).slice(0, count);
  return compareTexts(all, a) === 0 ? a : all;
}

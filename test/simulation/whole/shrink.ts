// Cuts a failing schedule down: parts of it are left out, smaller and smaller ones, as long as it fails in the same way.

/** Runs tried; then what is left must do. */
const TRY_COUNT_MAX = 160;

/**
 * The smallest part of `items` found for which `fails` is true (delta debugging). `fails(items)` is taken for granted.
 */
export async function shrink<Item>(
  items: readonly Item[],
  fails: (items: readonly Item[]) => Promise<boolean>,
): Promise<readonly Item[]> {
  let kept = items;
  let tries = 0;
  for (let size = Math.ceil(kept.length / 2); size >= 1; ) {
    let isSmaller = false;
    for (let from = 0; from < kept.length && tries < TRY_COUNT_MAX; ) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      tries++;
      if (await fails(rest)) {
        kept = rest;
        isSmaller = true;
      } else from += size;
    }
    if (tries >= TRY_COUNT_MAX) break;
    if (size === 1 && !isSmaller) break;
    size = size === 1 ? 1 : Math.ceil(size / 2);
  }
  return kept;
}

/** Two violations are of one kind when they differ in numbers and names only. */
export function kindOf(violation: string | undefined): string {
  return (violation ?? "").replace(/[0-9a-f]{4,}|\d+/g, "#").replace(/(?:#[.:/-]?)+/g, "#");
}

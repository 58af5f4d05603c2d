// When an announcement is repeated. The first message moves the neighbours; the others are for those that
// lost it, and for switches that learn late. Later repeats heal what was overwritten by a stray claim.

/** After the beginning of an announcement, ms. */
export const BURST_DELAYS_MS: readonly number[] = [0, 30, 100, 250, 500, 1_000, 2_000, 4_000];
/** After the burst. */
export const REPEAT_PERIOD_MS = 30_000;
/**
 * A timer that fires later than this was not merely busy: the process was stopped or starved for long enough
 * to be presumed dead, and its VIPs may be somebody else's.
 */
export const LATE_MAX_MS = 100;
/** Then the message is put off for so long; until then this member has learned what it still owns. */
export const POSTPONEMENT_MS = 500;

/** The delay between message `count` - 1 and message `count` of one announcement; `count` is 1, 2, … */
export function delayBeforeMs(count: number): number {
  const at = BURST_DELAYS_MS[count];
  const before = BURST_DELAYS_MS[count - 1];
  return at === undefined || before === undefined ? REPEAT_PERIOD_MS : at - before;
}

// Durations as Go prints them, which is how LoxiLB shows the delays of probes.

/** Rounded to microseconds: "340µs", "1.25ms", "2.5s"; "" for undefined, which Go's omitempty leaves out. */
export function durationText(ms: number | undefined): string {
  if (ms === undefined) return "";
  const microseconds = Math.round(ms * 1000);
  if (microseconds < 1000) return `${microseconds}µs`;
  if (microseconds < 1_000_000) return `${microseconds / 1000}ms`;
  return `${microseconds / 1_000_000}s`;
}

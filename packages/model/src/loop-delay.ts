// How long turns of this thread's event loop take: what came meanwhile waited so long. Measured at each turn,
// by nothing that wakes a loop which has nothing to do: timers of a few milliseconds woke an idle member's
// threads seven hundred times a second.
import { monitorEventLoopDelay } from "node:perf_hooks";

/** Before Node 24.12: a timer's lateness instead, of so many milliseconds' period. */
const PERIOD_MS = 20;
const MS_PER_NS = 1e-6;

export class LoopDelay {
  readonly #histogram;
  /** What a histogram says that saw no delay at all. */
  readonly #baseMs: number;

  constructor() {
    const byTurn = hasTurns();
    this.#baseMs = byTurn ? 0 : PERIOD_MS;
    this.#histogram = monitorEventLoopDelay({ samplePerIteration: byTurn, resolution: PERIOD_MS });
    this.#histogram.enable();
    // The first sample begins in the midst of a turn, and takes the loop's rest for work.
    setImmediate(() => setImmediate(() => this.#histogram.reset()));
  }

  /** Milliseconds that this share of the turns since `reset` did not exceed; 1: the longest. */
  quantileMs(share: number): number {
    const { count, max } = this.#histogram;
    if (count === 0) return 0;
    const nanoseconds = share >= 1 ? max : this.#histogram.percentile(share * 100);
    return Math.max(0, nanoseconds * MS_PER_NS - this.#baseMs);
  }

  /** Of the turns since `reset`; all 0 when there were none. */
  summaryMs(): { readonly min: number; readonly mean: number; readonly stddev: number } {
    const { count, min, mean, stddev } = this.#histogram;
    if (count === 0) return { min: 0, mean: 0, stddev: 0 };
    const ms = (nanoseconds: number) => Math.max(0, nanoseconds * MS_PER_NS - this.#baseMs);
    return { min: ms(min), mean: ms(mean), stddev: stddev * MS_PER_NS };
  }

  reset(): void {
    this.#histogram.reset();
  }

  close(): void {
    this.#histogram.disable();
  }
}

/** Whether this Node measures turns: one that does not know the option does not complain of it. */
function hasTurns(): boolean {
  try {
    monitorEventLoopDelay({ samplePerIteration: 0 as unknown as boolean });
    return false;
  } catch {
    return true;
  }
}

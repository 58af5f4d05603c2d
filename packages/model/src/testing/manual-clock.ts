// A clock that moves when the test says so.
import type { Clock, Timer } from "../clock.ts";

interface Entry {
  atMs: number;
  readonly periodMs: number | undefined;
  readonly action: () => void;
}

export class ManualClock implements Clock {
  #nowMs = 1_000;
  readonly #entries = new Set<Entry>();

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  after(delayMs: number, action: () => void): Timer {
    return this.#add({ atMs: this.#nowMs + delayMs, periodMs: undefined, action });
  }

  every(periodMs: number, action: () => void): Timer {
    return this.#add({ atMs: this.#nowMs + periodMs, periodMs, action });
  }

  /** Moves on, running what is due in its order. */
  advance(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      let next: Entry | undefined;
      for (const entry of this.#entries) {
        if (entry.atMs <= end && (next === undefined || entry.atMs < next.atMs)) next = entry;
      }
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      if (next.periodMs === undefined) this.#entries.delete(next);
      else next.atMs += next.periodMs;
      next.action();
    }
    this.#nowMs = Math.max(this.#nowMs, end);
  }

  /** Time passes and nothing runs, as for a stopped process. */
  jump(ms: number): void {
    this.#nowMs += ms;
  }

  /** What waits for its time. */
  get timerCount(): number {
    return this.#entries.size;
  }

  #add(entry: Entry): Timer {
    this.#entries.add(entry);
    return { cancel: () => this.#entries.delete(entry) };
  }
}

// A clock for tests of announcers: time passes when told to.
import type { Clock, Timer } from "@holdfast/model";

interface Pending {
  readonly dueMs: number;
  readonly action: () => void;
}

export class ManualClock implements Clock {
  private timeMs = 1_000;
  private readonly pending = new Set<Pending>();

  nowMs(): number {
    return this.timeMs;
  }

  wallMs(): number {
    return this.timeMs;
  }

  after(delayMs: number, action: () => void): Timer {
    const entry = { dueMs: this.timeMs + delayMs, action };
    this.pending.add(entry);
    return { cancel: () => void this.pending.delete(entry) };
  }

  every(periodMs: number, action: () => void): Timer {
    let timer: Timer;
    const again = () => {
      timer = this.after(periodMs, again);
      action();
    };
    timer = this.after(periodMs, again);
    return { cancel: () => timer.cancel() };
  }

  /** Runs what is due within the next `ms`, each at its time. */
  elapse(ms: number): void {
    const endMs = this.timeMs + ms;
    for (;;) {
      const next = [...this.pending].sort((a, b) => a.dueMs - b.dueMs)[0];
      if (next === undefined || next.dueMs > endMs) break;
      this.pending.delete(next);
      this.timeMs = Math.max(this.timeMs, next.dueMs);
      next.action();
    }
    this.timeMs = endMs;
  }

  /** Time passes and nothing runs, as for a stopped process. */
  jump(ms: number): void {
    this.timeMs += ms;
  }

  timerCount(): number {
    return this.pending.size;
  }
}

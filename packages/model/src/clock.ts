// Time is a parameter (TigerBeetle, memberlist): production passes `systemClock`, simulation its own.
import { SharedPeriods } from "./shared-periods.ts";

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds with a fraction; the origin is arbitrary and differs between members. */
  nowMs(): number;
  /**
   * Wall-clock milliseconds since the Unix epoch. It may jump; nothing but display and logs may rely on it.
   */
  wallMs(): number;
  /** Runs `action` once, at least `delayMs` from now. */
  after(delayMs: number, action: () => void): Timer;
  /**
   * Runs `action` every `periodMs` until cancelled, with whatever else is due then. The first time may come
   * half a period earlier or later.
   */
  every(periodMs: number, action: () => void): Timer;
}

/** One a thread. */
const periods = new SharedPeriods({
  nowMs: () => performance.now(),
  after(delayMs, action) {
    // A timer that goes off a moment before its time would find nothing to do.
    const handle = setTimeout(action, Math.ceil(delayMs));
    handle.unref?.();
    return () => clearTimeout(handle);
  },
  // A browser has none, and nothing that takes long.
  soon: (action) => void (globalThis.setImmediate ?? setTimeout)(action),
});

/** The process's own clock. Timers do not keep the process alive. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, action) {
    const handle = setTimeout(action, delayMs);
    handle.unref?.();
    return { cancel: () => clearTimeout(handle) };
  },
  every(periodMs, action) {
    return { cancel: periods.every(periodMs, action) };
  },
};

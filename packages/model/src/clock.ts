// Time is a parameter (TigerBeetle, memberlist): production passes `systemClock`, simulation its own.

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
  /** Runs `action` every `periodMs` until cancelled. */
  every(periodMs: number, action: () => void): Timer;
}

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
    const handle = setInterval(action, periodMs);
    handle.unref?.();
    return { cancel: () => clearInterval(handle) };
  },
};

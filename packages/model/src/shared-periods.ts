// What is done every so often, in one thread: all of it waits on one timer, and what has the same period, or
// a multiple of it, is done in the same wake-up. Timers of their own wake an idle daemon once each, at times
// that drift apart, and whoever wakes finds the processor's caches cold.

/** Longer periods begin on whole seconds. */
const GRID_MAX_MS = 1_000;
/** What is due so soon is done now. */
const SLACK_MS = 1;
/** When so much was done in one turn, packets come first. */
const TURN_MAX_MS = 2;

/** Of Node's; a test's own. */
export interface PeriodPorts {
  nowMs(): number;
  /** Runs `action` once; returns what takes it back. */
  after(delayMs: number, action: () => void): () => void;
  /** Runs `action` behind what waits. */
  soon(action: () => void): void;
}

interface Entry {
  readonly periodMs: number;
  readonly action: () => void;
  dueMs: number;
}

export class SharedPeriods {
  readonly #ports: PeriodPorts;
  readonly #entries = new Set<Entry>();
  #takeBack: (() => void) | undefined;
  /** When the timer goes off; not before everything that is due has been done. */
  #armedMs = Number.POSITIVE_INFINITY;
  #isRunning = false;

  constructor(ports: PeriodPorts) {
    this.#ports = ports;
  }

  /** The first time after half a period to one and a half, then every `periodMs`, until it is taken back. */
  every(periodMs: number, action: () => void): () => void {
    const gridMs = Math.min(periodMs, GRID_MAX_MS);
    const dueMs = Math.round((this.#ports.nowMs() + periodMs) / gridMs) * gridMs;
    const entry: Entry = { periodMs, action, dueMs };
    this.#entries.add(entry);
    this.#arm();
    return () => void this.#entries.delete(entry);
  }

  #arm(): void {
    if (this.#isRunning) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#entries) nextMs = Math.min(nextMs, dueMs);
    // A timer for what was taken back meanwhile goes off for nothing, once.
    if (nextMs >= this.#armedMs) return;
    this.#takeBack?.();
    this.#armedMs = nextMs;
    this.#takeBack = this.#ports.after(Math.max(0, nextMs - this.#ports.nowMs()), () => {
      this.#armedMs = Number.POSITIVE_INFINITY;
      this.#takeBack = undefined;
      this.#run();
    });
  }

  #run(): void {
    const startedMs = this.#ports.nowMs();
    const due = [...this.#entries].filter(({ dueMs }) => dueMs <= startedMs + SLACK_MS);
    // One that takes long is behind those that come more often.
    due.sort((a, b) => a.periodMs - b.periodMs);
    this.#isRunning = true;
    this.#runSome(due, 0);
  }

  #runSome(due: readonly Entry[], first: number): void {
    const startedMs = this.#ports.nowMs();
    let at = first;
    try {
      while (at < due.length) {
        const entry = due[at] as Entry;
        at += 1;
        // Taken back by one before it.
        if (!this.#entries.has(entry)) continue;
        const lateMs = Math.max(0, startedMs - entry.dueMs);
        // Times that were missed are not made up for.
        entry.dueMs += entry.periodMs * (1 + Math.floor(lateMs / entry.periodMs));
        entry.action();
        if (at < due.length && this.#ports.nowMs() - startedMs > TURN_MAX_MS) break;
      }
    } finally {
      if (at < due.length) this.#ports.soon(() => this.#runSome(due, at));
      else {
        this.#isRunning = false;
        this.#arm();
      }
    }
  }
}

// Simulated time: a queue of events by due time, and a clock per member whose wall time may jump and whose timers die
// with it.
import type { Clock, Timer } from "@holdfast/model";

interface Event {
  readonly dueMs: number;
  readonly order: number;
  readonly action: () => void;
  cancelled: boolean;
}

/** 2020-01-01, so that wall times look like wall times. */
const WALL_ORIGIN_MS = 1_577_836_800_000;

export class SimulatedTime {
  #nowMs = 0;
  #order = 0;
  #heap: Event[] = [];
  #eventCount = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  at(dueMs: number, action: () => void): Event {
    const event: Event = {
      dueMs: Math.max(dueMs, this.#nowMs),
      order: this.#order++,
      action,
      cancelled: false,
    };
    this.#push(event);
    return event;
  }

  /** Runs what is due until `untilMs`; promises settle between events. */
  async run(untilMs: number): Promise<void> {
    for (let next = this.#heap[0]; next !== undefined && next.dueMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      if (next.cancelled) continue;
      this.#nowMs = next.dueMs;
      this.#eventCount++;
      next.action();
      await null;
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let i = heap.length;
    heap.push(event);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(event, heap[parent] as Event)) break;
      heap[i] = heap[parent] as Event;
      i = parent;
    }
    heap[i] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Event)) child++;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[i] = heap[child] as Event;
      i = child;
    }
    heap[i] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}

/** The clock of one life of one member, or of the network. */
export class SimulatedClock implements Clock {
  readonly #time: SimulatedTime;
  /** Monotonic clocks of different members begin anywhere. */
  readonly #originMs: number;
  #wallOffsetMs = 0;
  #stopped = false;
  /** What came due while the clock's owner stood still. */
  #deferred: (() => void)[] | undefined;

  constructor(time: SimulatedTime, originMs = 0, wallOffsetMs = 0) {
    this.#time = time;
    this.#originMs = originMs;
    this.#wallOffsetMs = wallOffsetMs;
  }

  nowMs(): number {
    return this.#time.nowMs + this.#originMs;
  }

  wallMs(): number {
    return WALL_ORIGIN_MS + this.#time.nowMs + this.#wallOffsetMs;
  }

  jump(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** The member died: nothing of it runs any more. */
  stop(): void {
    this.#stopped = true;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Its owner stands still: SIGSTOP, or a busy event loop. Time goes on. */
  freeze(): void {
    this.#deferred ??= [];
  }

  /** What is overdue runs now, in its order. */
  thaw(): void {
    const deferred = this.#deferred ?? [];
    this.#deferred = undefined;
    for (const action of deferred) this.#time.at(this.#time.nowMs, action);
  }

  after(delayMs: number, action: () => void): Timer {
    let cancelled = false;
    const run = () => {
      if (this.#stopped || cancelled) return;
      if (this.#deferred === undefined) action();
      else this.#deferred.push(run);
    };
    const event = this.#time.at(this.#time.nowMs + delayMs, run);
    return {
      cancel: () => {
        cancelled = true;
        event.cancelled = true;
      },
    };
  }

  every(periodMs: number, action: () => void): Timer {
    let timer = this.after(periodMs, tick);
    const self = this;
    function tick() {
      timer = self.after(periodMs, tick);
      action();
    }
    return { cancel: () => timer.cancel() };
  }
}

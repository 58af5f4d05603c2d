import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { SharedPeriods } from "./shared-periods.ts";

/** Time that goes on when a test says so, and counts how often it woke anybody. */
class Time {
  nowMs = 0;
  wakeups = 0;
  soon: (() => void)[] = [];
  readonly #timers = new Set<{ dueMs: number; action: () => void }>();

  readonly periods = new SharedPeriods({
    nowMs: () => this.nowMs,
    after: (delayMs, action) => {
      const timer = { dueMs: this.nowMs + delayMs, action };
      this.#timers.add(timer);
      return () => void this.#timers.delete(timer);
    },
    soon: (action) => void this.soon.push(action),
  });

  until(endMs: number): void {
    while (this.soon.length > 0) this.soon.shift()?.();
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined || next.dueMs > endMs) break;
      this.#timers.delete(next);
      this.nowMs = Math.max(this.nowMs, next.dueMs);
      this.wakeups += 1;
      next.action();
      while (this.soon.length > 0) this.soon.shift()?.();
    }
    this.nowMs = endMs;
  }
}

suite("periods that share a timer", () => {
  test("whatever begins when, what has one period or a multiple of it is one wake-up", () => {
    const time = new Time();
    const counts = new Map<number, number>();
    for (const [index, periodMs] of [100, 100, 200, 1_000, 1_000, 5_000, 500].entries()) {
      time.until(index * 37.3);
      time.periods.every(periodMs, () => counts.set(index, (counts.get(index) ?? 0) + 1));
    }
    time.until(10_000);
    const before = time.wakeups;
    counts.clear();
    time.until(20_000);
    assert.equal(time.wakeups - before, 100);
    assert.deepEqual(
      [0, 1, 2, 3, 4, 5, 6].map((index) => counts.get(index)),
      [100, 100, 50, 10, 10, 2, 20],
    );
  });

  test("the first time is half a period away at least, and one and a half at most", () => {
    for (let startMs = 0; startMs < 400; startMs += 7.7) {
      const time = new Time();
      time.until(startMs);
      let firstMs: number | undefined;
      time.periods.every(100, () => (firstMs ??= time.nowMs));
      time.until(startMs + 200);
      assert(firstMs !== undefined && firstMs - startMs >= 50 && firstMs - startMs <= 150, `${firstMs}`);
    }
  });

  test("times that were missed are not made up for", () => {
    const time = new Time();
    let count = 0;
    time.periods.every(100, () => {
      count += 1;
      if (count === 1) time.nowMs += 950;
    });
    time.until(1_150);
    assert.equal(count, 3, "once late, then at its times");
    time.until(1_350);
    assert.equal(count, 5);
  });

  test("what is taken back is not done any more, by its own action or by another's in the same turn", () => {
    const time = new Time();
    const done: string[] = [];
    const end = time.periods.every(100, () => {
      done.push("first");
      end();
      endSecond();
    });
    const endSecond = time.periods.every(200, () => done.push("second"));
    time.until(1_000);
    assert.deepEqual(done, ["first"]);
    const wakeups = time.wakeups;
    time.until(100_000);
    assert(time.wakeups - wakeups <= 1, "nothing is left to wake for");
  });

  test("a turn that became long lets others in before the rest", () => {
    const time = new Time();
    const done: string[] = [];
    time.periods.every(100, () => {
      done.push("slow");
      time.nowMs += 5;
      time.soon.push(() => done.push("packet"));
    });
    time.periods.every(100, () => done.push("rest"));
    time.until(110);
    assert.deepEqual(done, ["slow", "packet", "rest"]);
    time.until(210);
    assert.equal(done.length, 6, "both go on");
  });

  test("one that throws takes none of the others with it", () => {
    const time = new Time();
    let count = 0;
    time.periods.every(100, () => {
      throw new Error("a bug");
    });
    time.periods.every(100, () => (count += 1));
    assert.throws(() => time.until(110), /a bug/);
    time.until(110);
    assert.equal(count, 1);
    assert.throws(() => time.until(210), /a bug/);
    time.until(210);
    assert.equal(count, 2);
  });
});

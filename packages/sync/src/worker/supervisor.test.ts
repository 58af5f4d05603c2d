// When the engine's thread is given up: it crashes again and again, or gives no sign of life. Real threads, a
// clock by hand.
import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { type Clock, type HoldfastError, silentLogger, systemClock, type Timer } from "@holdfast/model";
import {
  BEAT_PERIOD_MS,
  LOST_BEAT_COUNT,
  RESTART_COUNT_MAX,
  SILENT_BEAT_COUNT,
  Supervisor,
} from "./supervisor.ts";

/** Beats come when the test says so; everything else takes its time. */
class BeatClock implements Clock {
  readonly #beats = new Set<() => void>();
  nowMs = systemClock.nowMs;
  wallMs = systemClock.wallMs;
  after = systemClock.after;
  every(periodMs: number, action: () => void): Timer {
    if (periodMs !== BEAT_PERIOD_MS) return systemClock.every(periodMs, action);
    this.#beats.add(action);
    return { cancel: () => void this.#beats.delete(action) };
  }
  /** So many in one turn: no answer can come between them. */
  beat(count: number): void {
    for (let n = 0; n < count; n++) for (const action of [...this.#beats]) action();
  }
  get isBeating(): boolean {
    return this.#beats.size > 0;
  }
}

describe("the engine's thread", () => {
  let clock: BeatClock;
  let supervisor: Supervisor;
  let failures: HoldfastError[];
  let answers: boolean[];
  let links: number;

  beforeEach(async () => {
    clock = new BeatClock();
    failures = [];
    answers = [];
    links = 0;
    supervisor = new Supervisor(
      {
        clusterId: "alpha",
        memberName: "m0",
        memberNumber: 0,
        memberNumberCount: 8,
        listen: [],
        members: [],
        tls: "plain",
        storeDirectory: undefined,
        settings: {},
        timing: {},
        queueBytesMax: undefined,
      },
      clock,
      silentLogger,
      {
        linked: (link) => {
          links++;
          link.listen(() => {});
        },
        unlinked: () => {},
        answers: (does) => void answers.push(does),
        failed: (error) => void failures.push(error),
      },
    );
    await supervisor.start();
  });
  afterEach(() => supervisor.kill());

  const until = async (condition: () => boolean) => {
    const limit = performance.now() + 30_000;
    while (!condition()) {
      assert.ok(performance.now() < limit, "waited too long");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  it("is silent after a few questions without an answer, and is heard again", async () => {
    clock.beat(SILENT_BEAT_COUNT);
    assert.deepEqual(answers, []);
    clock.beat(1);
    assert.deepEqual(answers, [false]);
    await until(() => answers.length === 2);
    assert.deepEqual(answers, [false, true]);
    assert.deepEqual(failures, []);
  });

  it("is given up when it does not answer for good, once", () => {
    clock.beat(LOST_BEAT_COUNT + 5);
    assert.deepEqual(
      failures.map(({ code }) => code),
      ["SYNC_WORKER_HANGS"],
    );
  });

  it("is started again after a crash, and given up after too many", async () => {
    for (let n = 1; n < RESTART_COUNT_MAX; n++) {
      await supervisor.crash();
      await until(() => links === n + 1 && clock.isBeating);
      assert.deepEqual(failures, []);
    }
    await supervisor.crash();
    await until(() => failures.length > 0);
    assert.equal(failures[0]?.code, "SYNC_WORKER_FAILED");
    assert.equal(supervisor.restartCount, RESTART_COUNT_MAX - 1);
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { inLanes, type LaneOptions, type Load } from "./lanes.ts";

const LOADS: Readonly<Record<string, Load>> = {
  guests: { seconds: 100, processors: 2 },
  flood: { seconds: 10, processors: 5 },
  long: { seconds: 90, processors: 1 },
  middle: { seconds: 50, processors: 1 },
  waits: { seconds: 80, processors: 0.5 },
  waitsToo: { seconds: 5, processors: 0.5 },
  short: { seconds: 1, processors: 1 },
};

/** Runs them all on a clock that turns as soon as everybody waits; the order, and what ran beside what. */
async function played(
  files: readonly string[],
  options: Partial<Pick<LaneOptions, "apart" | "isBackground">> = {},
  loads = LOADS,
) {
  const began: string[] = [];
  const sets: string[][] = [];
  const running = new Map<string, { readonly endsAt: number; readonly end: () => void }>();
  let now = 0;
  const all = inLanes(files, { processors: 2, loadOf: (file) => loads[file] as Load, ...options }, (file) => {
    began.push(file);
    return new Promise((resolve) => {
      running.set(file, { endsAt: now + (loads[file] as Load).seconds, end: resolve });
      sets.push([...running.keys()]);
    });
  });
  let isDone = false;
  void all.then(() => {
    isDone = true;
  });
  for (;;) {
    await new Promise((resolve) => setImmediate(resolve));
    if (isDone) return { began, sets, tookS: now };
    const [next] = [...running].sort(([, a], [, b]) => a.endsAt - b.endsAt);
    assert.ok(next, "nobody runs, and it is not done");
    now = next[1].endsAt;
    running.delete(next[0]);
    next[1].end();
  }
}

test("every file runs once, and never more than the processors carry", async () => {
  const { began, sets } = await played(Object.keys(LOADS));
  assert.deepEqual([...began].sort(), Object.keys(LOADS).sort());
  for (const set of sets) {
    const load = set.reduce((sum, file) => sum + Math.min(2, LOADS[file]?.processors ?? 0), 0);
    assert.ok(load <= 2, set.join());
  }
  // What waits runs beside what works.
  assert.ok(sets.some((set) => set.length >= 3));
});

test("who needs the machine alone comes first, then the longest", async () => {
  const { began, tookS } = await played(Object.keys(LOADS));
  assert.deepEqual(began.slice(0, 4), ["guests", "flood", "long", "waits"]);
  // 110 alone; then the long one beside those that wait, and what no longer fits beside them.
  assert.equal(tookS, 240);
});

test("what needs more than one processor is not kept waiting by those that fit better", async () => {
  const loads: Readonly<Record<string, Load>> = {
    long: { seconds: 90, processors: 1 },
    longToo: { seconds: 80, processors: 1 },
    waits: { seconds: 70, processors: 0.5 },
    wide: { seconds: 10, processors: 1.5 },
  };
  const { began, tookS } = await played(Object.keys(loads), {}, loads);
  assert.deepEqual(began, ["wide", "waits", "long", "longToo"]);
  // The second long one begins when the one that waits is done.
  assert.equal(tookS, 150);
});

test("files that are kept apart never run at the same time", async () => {
  const isWaiting = (file: string) => (file.startsWith("waits") ? "docker" : undefined);
  const { began, sets } = await played(Object.keys(LOADS), { apart: isWaiting });
  assert.equal(began.length, Object.keys(LOADS).length);
  for (const set of sets)
    assert.ok(set.filter((file) => isWaiting(file) !== undefined).length <= 1, set.join());
});

test("what is in the background runs beside others, one a processor, and takes no place of theirs", async () => {
  const names = ["long", "middle", "short"];
  const isBackground = (file: string) => names.includes(file);
  const { began, sets, tookS } = await played(Object.keys(LOADS), { isBackground });
  assert.equal(began.length, Object.keys(LOADS).length);
  for (const set of sets) {
    assert.ok(set.filter(isBackground).length <= 2, set.join());
    const others = set.filter((file) => !isBackground(file));
    if (set.includes("guests") || set.includes("flood")) assert.equal(others.length, 1, set.join());
  }
  assert.ok(sets.some((set) => set.filter(isBackground).length === 2 && set.includes("guests")));
  // 110 alone of all but the background, and then what waits.
  assert.equal(tookS, 190);
});

test("a file that fails to run at all is not waited for in vain", async () => {
  const running = inLanes(
    ["long", "short"],
    { processors: 2, loadOf: () => ({ seconds: 1, processors: 1 }) },
    async () => {
      throw new Error("no such file");
    },
  );
  await assert.rejects(running, /no such file/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Kept } from "../bench/replication/report.ts";
import { graphText } from "./graph.ts";
import { graphsOf, isMet, performanceText } from "./performance.ts";

const environment = { cores: 2, processor: "p", kernel: "k", node: "n", memoryGiB: 1 };
const kept = (rows: Kept["rows"]): Kept => ({
  command: "npm run bench -- x",
  date: "2026-11-29",
  commit: "abc",
  bench: "x",
  rows,
  environment,
});

test("a goal is met at its bound, and not beyond", () => {
  const goal = { run: "r", case: "c", of: "value" } as const;
  assert.ok(isMet({ ...goal, atMost: 5 }, 5));
  assert.ok(!isMet({ ...goal, atMost: 5 }, 5.1));
  assert.ok(isMet({ ...goal, atLeast: 2 }, 2));
  assert.ok(!isMet({ ...goal, atLeast: 2 }, 1.9));
});

test("goals are told as met, not met and not measured, by what the runs say", () => {
  const ready = (value: number, ratio: number) => ({
    value,
    unit: "ms",
    versus: "old",
    ratio,
    theirs: 2_000,
  });
  const text = performanceText(
    new Map([
      [
        "start",
        kept([
          { case: "one member alone: ready after", ...ready(800, 2.5) },
          { case: "one of three comes back: ready after", ...ready(1_500, 1.333) },
        ]),
      ],
    ]),
  );
  assert.match(text, /one member alone: ready after \| `start` \| ≥ 2 × old \| 2.5 × \| met \|/);
  assert.match(text, /one of three comes back: ready after \| `start` \| ≥ 2 × old \| 1.333 × \| not met \|/);
  assert.match(text, /three members together, the last: ready after \| `start` \| .* \| not measured \|/);
  assert.match(text, /one member alone: ready after \| 800 ms \| 2,000 ms \(old\) \| 2.5 \|/);
});

test("a graph has a line for each kind of row and a point for each size, and its scale reaches them", () => {
  const row = (value: number) => ({ case: "7 sessions, 1 s later: resident", value, unit: "MiB" });
  const runs = new Map([
    ["memory-1000", kept([row(100)])],
    ["memory-100000", kept([row(400)])],
    ["memory-other", kept([row(999)])],
  ]);
  const graph = graphsOf(runs).get("memory");
  assert.deepEqual(graph?.series, [
    {
      name: "with sessions",
      points: [
        [1_000, 100],
        [100_000, 400],
      ],
    },
  ]);
  const text = graphText({ ...graph, title: "a < b & c" });
  assert.equal([...text.matchAll(/<circle/g)].length, 2);
  assert.match(text, /<title>a &lt; b &amp; c<\/title>/);
  assert.match(text, />100,000<\/text>/);
  assert.equal(graphsOf(new Map([["memory-1000", kept([row(100)])]])).size, 0);
});

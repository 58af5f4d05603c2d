import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { START_PAUSE_MAX_MS, StartPause } from "./start-pause.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "holdfast-starts-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("starts that fail one after the other wait longer each time, up to a limit, without end", () => {
  let nowMs = 1_000_000;
  const pauses = Array.from({ length: 12 }, () => {
    const { pauseMs } = new StartPause(directory, nowMs);
    nowMs += pauseMs + 500;
    return pauseMs;
  });
  assert.deepEqual(pauses.slice(0, 3), [0, 0, 0], "a crash costs no time");
  for (const [n, pause] of pauses.entries())
    if (n > 3) assert.ok(pause > (pauses[n - 1] ?? 0) || pause === START_PAUSE_MAX_MS, `${pauses}`);
  assert.equal(pauses.at(-1), START_PAUSE_MAX_MS);
});

test("a start that held, a stop, and a long time end it", () => {
  for (let n = 0; n < 6; n++) new StartPause(directory, 1_000);
  assert.ok(new StartPause(directory, 1_000).pauseMs > 0);
  const held = new StartPause(directory, 1_000);
  held.forget();
  assert.equal(new StartPause(directory, 1_000).pauseMs, 0);
  for (let n = 0; n < 6; n++) new StartPause(directory, 1_000);
  assert.equal(new StartPause(directory, 700_000).pauseMs, 0);
});

test("without a directory, with one that cannot be written, or with nonsense in it there is no pause", () => {
  for (let n = 0; n < 9; n++) {
    assert.equal(new StartPause(undefined, 0).pauseMs, 0);
    assert.equal(new StartPause("/proc/nowhere", 0).pauseMs, 0);
  }
  writeFileSync(join(directory, "starts"), "much nonsense");
  assert.equal(new StartPause(directory, 0).pauseMs, 0);
});

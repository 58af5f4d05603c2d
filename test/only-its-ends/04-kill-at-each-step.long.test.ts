// kill -9 at each step of writing the store, one process after the other on the same directory: what was
// confirmed is there, nothing is torn, and each next life goes on where the last one ended.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { readStore } from "@holdfast/sync/testing";
import { ACTOR_A, change } from "@holdfast/sync/testing/store";

const WRITER = fileURLToPath(new URL("./store-writer.ts", import.meta.url));
const STEP_COUNT_MAX = 200;
const directory = mkdtempSync(join(tmpdir(), "holdfast-kill-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("a store that is killed at every step of a write keeps what it confirmed", async () => {
  let confirmed = { round: 0, ticks: 0 };
  let step = 1;
  for (; ; step++) {
    assert.ok(step < STEP_COUNT_MAX, "the writer comes to its end");
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", WRITER, directory, String(step)],
      { encoding: "utf8" },
    );
    const said = stdout.trim().split("\n").at(-1) ?? "";
    if (said !== "") {
      const [round = 0, ticks = 0] = said.split(" ").map(Number);
      confirmed = { round, ticks };
    }
    const where = `step ${step}, confirmed ${JSON.stringify(confirmed)}`;
    assert.ok(status === 0 || signal === "SIGKILL", `${where}: ${stderr}`);
    if (status === 0) break;
    if (!readdirSync(directory).includes("values")) continue;
    const { values, segments, damaged } = await readStore(directory);
    const round = values.get("configuration")?.[0] ?? 0;
    assert.ok(round >= confirmed.round, `${where}: ${round}`);
    const ticks = segments.find(({ actor }) => actor === ACTOR_A)?.changes ?? [];
    assert.ok(ticks.length >= confirmed.ticks, `${where}: ${ticks.length} ticks`);
    for (const [tick, bytes] of ticks.entries()) assert.deepEqual(bytes, change(tick, 5_000), where);
    // A tick half written is a torn tail, and no more than that.
    assert.ok(damaged.length <= 1 && damaged.every((line) => line.includes("torn")), damaged.join());
  }
  assert.ok(step > 30, `${step} steps`);
});

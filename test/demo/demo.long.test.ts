// What README and docs tell a newcomer to run first: each demo ends well, and says so.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("main.ts", import.meta.url));
/** It tells its story at a pace to be watched: some 50 s, and more where processors are busy. */
const LIMIT_MS = 280_000;
const SHOWN_LINE_COUNT = 40;

for (const words of [[], ["--protocol", "tcp"], ["--announcer", "bgp"], ["--kubernetes"]])
  test(`npm run demo -- ${words.join(" ")}`, () => {
    const { status, signal, stdout, stderr } = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", PROGRAM, "--json", ...words],
      { encoding: "utf8", timeout: LIMIT_MS },
    );
    // A failure ends with the members' logs, which are long: what was lost is said before.
    const lines = `${stdout}${stderr}`.split("\n").filter((line) => !line.startsWith('{"level"'));
    assert.equal(status, 0, `${signal ?? status}:\n${lines.slice(-SHOWN_LINE_COUNT).join("\n")}`);
    const figures = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
    assert.equal(figures.lost, 0);
  });

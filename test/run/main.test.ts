// Whatever happens to a run, its last line and its exit code say so.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const PROGRAM = fileURLToPath(new URL("main.ts", import.meta.url));
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly lastLine: string | undefined;
  readonly output: string;
}

/** `onOutput` hears all that was printed so far. */
function played(only: string, onOutput?: (output: string, kill: () => void) => void): Promise<Ended> {
  // Without this it would be a test within this one, and run nothing.
  const { NODE_TEST_CONTEXT: _, CI: __, ...env } = process.env;
  const args = ["--disable-warning=ExperimentalWarning", PROGRAM, "--only", only];
  const child = spawn(process.execPath, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (bytes: Buffer) => {
    output += bytes.toString();
    onOutput?.(output, () => child.kill("SIGTERM"));
  });
  return new Promise((resolve) =>
    child.once("close", (code) => resolve({ code, lastLine: output.trimEnd().split("\n").at(-1), output })),
  );
}

test("a run that passes", async () => {
  const { code, lastLine, output } = await played("test/run/lanes.test.ts");
  assert.match(lastLine ?? "", /^[1-9]\d* passed, 0 failed$/, output);
  assert.equal(code, 0);
});

test("a run of nothing has not passed", async () => {
  const { code, lastLine } = await played("there is no such file");
  assert.equal(lastLine, "0 passed, 0 failed");
  assert.equal(code, 1);
});

test("a run that is ended says what was not finished", async () => {
  const { code, lastLine, output } = await played("test/run/lanes.test.ts", (text, kill) => {
    if (text.includes("== everyday")) kill();
  });
  assert.equal(lastLine, "0 passed, 1 failed");
  assert.match(output, /ended by SIGTERM[\s\S]*not finished: test\/run\/lanes\.test\.ts/);
  assert.equal(code, 1);
});

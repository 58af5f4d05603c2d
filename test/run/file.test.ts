import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { runBatch } from "./batches.ts";
import { failuresOf, namesToRepeat, runFile, withSecondTry } from "./file.ts";

const LIMIT_MS = 60_000;

/** Node runs no files from within one that it runs, and knows it by a variable when it is asked. */
function runOutside(...words: Parameters<typeof runFile>): ReturnType<typeof runFile> {
  const context = process.env["NODE_TEST_CONTEXT"];
  delete process.env["NODE_TEST_CONTEXT"];
  try {
    return runFile(...words);
  } finally {
    if (context !== undefined) process.env["NODE_TEST_CONTEXT"] = context;
  }
}

/** Test files that write down what ran, in a directory of their own; `isFirst` is true of a name once. */
function written(t: TestContext, ...bodies: readonly string[]) {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-run-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const log = join(directory, "log");
  writeFileSync(log, "");
  const files = bodies.map((body, index) => {
    const file = join(directory, `f${index}.test.ts`);
    const head = `import assert from "node:assert";
import { appendFileSync, readFileSync } from "node:fs";
import { after, describe, test } from "node:test";
const log = ${JSON.stringify(log)};
const isFirst = (name: string) => {
  const lines = readFileSync(log, "utf8").split("\\n");
  appendFileSync(log, name + "\\n");
  return !lines.includes(name);
};
`;
    writeFileSync(file, head + body);
    return file;
  });
  return { files, ran: () => readFileSync(log, "utf8").trim().split("\n").sort() };
}

async function twice(file: string) {
  const first = await runOutside(file, { timeoutMs: LIMIT_MS });
  const names = namesToRepeat(first);
  const both = withSecondTry(first, names, await runOutside(file, { timeoutMs: LIMIT_MS, only: names }));
  const passed = both.outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  return { first, names, both, passed, failures: failuresOf(both).map(({ name }) => name) };
}

test("what failed runs again, a suite as a whole, and each test counts once", async (t) => {
  const { files, ran } = written(
    t,
    `test("good", () => void isFirst("good"));
test("flaky (1+1 = $2)", () => assert.ok(!isFirst("flaky")));
test("flaky (1+1 = $2) too", () => void isFirst("longer name"));
test("bad", () => { isFirst("bad"); assert.fail("always"); });
describe("suite", () => {
  test("before", () => void isFirst("before"));
  test("good", () => assert.ok(!isFirst("inner")));
});`,
  );
  const { names, passed, failures } = await twice(files[0] as string);
  assert.deepEqual(names, ["flaky (1+1 = $2)", "bad", "suite"]);
  assert.equal(passed, 5);
  assert.deepEqual(failures, ["bad"]);
  const expected = ["bad", "bad", "before", "before", "flaky", "flaky", "good", "inner", "inner"];
  assert.deepEqual(ran(), [...expected, "longer name"]);
});

test("of two of one name, and of a file that does not load, all runs again", async (t) => {
  const { files, ran } = written(
    t,
    `for (const n of [1, 2]) test("same", () => assert.ok(!isFirst("same " + n) || n === 1));
test("other", () => void isFirst("other"));`,
    `if (isFirst("loading")) throw new Error("no such module");
test("in it", () => void isFirst("in it"));`,
  );
  const same = await twice(files[0] as string);
  assert.equal(same.names, undefined);
  assert.deepEqual([same.passed, same.failures], [3, []]);
  const loading = await twice(files[1] as string);
  assert.equal(loading.names, undefined);
  assert.equal(failuresOf(loading.first).length, 1);
  assert.deepEqual([loading.passed, loading.failures], [1, []]);
  assert.deepEqual(ran().filter((name) => name === "in it").length, 1);
});

test("hooks that fail are failures, of a suite and of the file", async (t) => {
  const { files } = written(
    t,
    `describe("suite", () => {
  after(() => assert.ok(!isFirst("hook")));
  test("good", () => {});
});`,
    `after(() => assert.ok(!isFirst("last hook")));
test("good", () => {});`,
  );
  const suite = await twice(files[0] as string);
  assert.equal(failuresOf(suite.first).length, 1);
  assert.deepEqual([suite.names, suite.passed, suite.failures], [["suite"], 1, []]);
  const file = await twice(files[1] as string);
  assert.equal(failuresOf(file.first).length, 1);
  assert.deepEqual([file.names, file.passed, file.failures], [undefined, 1, []]);
});

test("many files in one process say what passed and what failed, and a process that ends says nothing", async (t) => {
  const { files } = written(
    t,
    `test("good", () => {}); test("later", { skip: "no" }, () => {});`,
    `test("bad", () => assert.fail("always"));`,
    `process.exit(0);`,
  );
  const result = await runBatch(files.slice(0, 2), LIMIT_MS);
  assert.ok(result);
  assert.equal(
    result.outcomes.reduce((sum, { passed }) => sum + passed, 0),
    1,
  );
  assert.deepEqual(
    result.outcomes.flatMap(({ skipped }) => skipped),
    ["later: no"],
  );
  assert.deepEqual(
    failuresOf(result).map(({ name }) => name),
    ["bad"],
  );
  assert.equal(await runBatch(files.slice(1), LIMIT_MS), undefined);
});

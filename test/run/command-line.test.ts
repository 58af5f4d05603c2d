import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

function run(program: string, ...words: string[]) {
  const file = fileURLToPath(new URL(`../${program}/main.ts`, import.meta.url));
  return spawnSync(process.execPath, [file, ...words], { encoding: "utf8" });
}

const WRONG: readonly [program: string, words: string[], said: RegExp][] = [
  ["chaos", ["--minutes", "x"], /--minutes takes a number above 0, not 'x'/],
  ["conformance", ["--colour"], /--colour/],
  ["demo", ["--members", "9"], /--members takes a whole number from 1 to 7, not '9'/],
  ["fuzz", ["--only", "nothing"], /--only takes one of codec, .*, not 'nothing'/],
  ["fuzz", ["--packets", "many"], /--packets takes a whole number from 1 on, not 'many'/],
  ["run", ["some.test.ts"], /some\.test\.ts/],
  ["simulation", ["--seeds", "x"], /--seeds takes a whole number from 1 on, not 'x'/],
];

for (const [program, words, said] of WRONG)
  test(`${program} ${words.join(" ")}: a sentence, the usage, and 2`, () => {
    const { status, stderr } = run(program, ...words);
    assert.match(stderr, said);
    assert.match(stderr, /--\w/);
    assert.doesNotMatch(stderr, /^\s+at /m);
    assert.equal(status, 2);
  });

test("npm test -- --help: how it is used, and 0", () => {
  const { status, stdout } = run("run", "--help");
  assert.match(stdout, /npm test -- .*--only TEXT/s);
  assert.equal(status, 0);
});

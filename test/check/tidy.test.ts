import assert from "node:assert/strict";
import { test } from "node:test";
import { circles, compare, type Exceptions, graphOf, longComments, nameAt } from "./tidy.ts";

const NONE: Exceptions = { files: {}, functions: {}, comments: {}, cycles: {} };

test("what is wrong and not let off is told", () => {
  const found = { ...NONE, files: { "a.ts": 401 }, comments: { "b.ts": 1 } };
  assert.deepEqual(compare(found, NONE), [
    "a.ts: 401 lines, 400 are the limit",
    "b.ts: 1 comment lines of more than 110 columns",
  ]);
});

test("the list of exceptions only shrinks", () => {
  const known = { ...NONE, files: { "a.ts": 450 }, functions: { "b.ts f": 90 } };
  assert.deepEqual(compare(known, known), []);
  assert.deepEqual(compare({ ...known, files: { "a.ts": 440 } }, known), []);
  assert.deepEqual(compare({ ...known, files: { "a.ts": 451 } }, known), [
    "a.ts: 451 lines, 400 are the limit; it was let off with 450",
  ]);
  assert.deepEqual(compare({ ...known, functions: {} }, known), [
    "b.ts f: well done, strike it off 'functions' of test/check/tidy.json",
  ]);
});

test("long comments count, long code does not", () => {
  const long = "x".repeat(110);
  assert.deepEqual(
    longComments(`// ${long}\ncall("${long}");\n\t * ${long}\n// short\n a * ${long}`),
    [1, 3],
  );
});

test("circles are found, and what imports types alone makes none", () => {
  const files = new Map([
    ["p/a.ts", 'import { b } from "./b.ts";'],
    ["p/b.ts", 'export * from "./q/c.ts";'],
    ["p/q/c.ts", 'import {\n  type A,\n  a,\n} from "../a.ts";\nimport "./d.ts";'],
    ["p/q/d.ts", 'import type { C } from "./c.ts";\nimport { type B } from "../b.ts";\n// import "../a.ts";'],
  ]);
  assert.deepEqual(circles(graphOf(files)), [["p/a.ts", "p/b.ts", "p/q/c.ts"]]);
  files.set("p/q/c.ts", 'import { type A } from "../a.ts";');
  assert.deepEqual(circles(graphOf(files)), []);
});

test("functions have names", () => {
  const name = (line: string, before = "") => nameAt(before + line, { line: 1, column: before.length + 1 });
  assert.equal(name("async function start(x: number) {", "export "), "start");
  assert.equal(name("async #visit(", "  "), "#visit");
  assert.equal(name("(a) => {", "const play = "), "play");
  assert.equal(name("() => {", "  setTimeout("), "setTimeout(() => {");
});

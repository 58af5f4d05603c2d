import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import {
  BenchOptionError,
  helpIn,
  namesIn,
  numberOf,
  refuseUnknown,
  textOf,
  wordOf,
  wordsOf,
} from "./options.ts";

const HELP = helpIn(`// What it measures.
//
//   --kills N    default 20
//   --router A   with bgp
//                --not-one in a text
import "x";
`);

test("the comment at the head of a benchmark is its help, and lists its options", () => {
  assert.equal(HELP.split("\n")[0], "What it measures.");
  assert.doesNotMatch(HELP, /import/);
  assert.deepEqual(namesIn(HELP).slice(0, 2), ["kills", "router"]);
});

test("a word that is no option, or an option without a value, is refused before anything is measured", () => {
  refuseUnknown(["--kills", "3", "--router=frr"], ["kills", "router"]);
  for (const [args, text] of [
    [["--kill", "3"], /there is no --kill here: it takes --kills, --router/],
    [["3"], /'3' is no option/],
    [["--kills"], /--kills wants a value/],
  ] as const)
    assert.throws(() => refuseUnknown(args, ["kills", "router"]), text);
  assert.throws(() => refuseUnknown(["--x", "1"], []), /it takes none/);
});

test("values are numbers or words that there are", () => {
  assert.equal(numberOf(["--kills", "3"], "kills", 20), 3);
  assert.equal(numberOf(["--kills=0"], "kills", 20), 0);
  assert.equal(numberOf([], "kills", 20), 20);
  for (const text of ["many", "-1", ""])
    assert.throws(() => numberOf([`--kills=${text}`], "kills", 20), BenchOptionError);
  assert.equal(textOf(["--kills", "1", "--kills", "2"], "kills"), "2");
  assert.equal(wordOf(["--router", "frr"], "router", ["bird", "frr"], "bird"), "frr");
  assert.deepEqual(wordsOf(["--router", "bird,frr"], "router", ["bird", "frr"], ["bird"]), ["bird", "frr"]);
  assert.throws(() => wordsOf(["--router", "bird,"], "router", ["bird", "frr"], ["bird"]), /not ''/);
});

test("every option that a benchmark reads stands at its head", () => {
  const here = new URL("../", import.meta.url);
  const files = readdirSync(here).filter((file) => file.endsWith(".ts") && file !== "main.ts");
  assert.ok(files.length > 10);
  for (const file of files) {
    const source = readFileSync(new URL(file, here), "utf8");
    const read = [...source.matchAll(/(?:numberOf|textOf|wordOf|wordsOf)\(\s*[\w.]+,\s*"([a-z0-9-]+)"/g)];
    const described = namesIn(helpIn(source));
    for (const [, name] of read) assert.ok(described.includes(name as string), `${file}: --${name}`);
  }
});

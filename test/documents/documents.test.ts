import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { ERROR_CATALOGUE, type ErrorEntry } from "@holdfast/model/testing";
import { DOCUMENTS, isCurrent } from "./documents.ts";
import { undocumented } from "./reasons.ts";

for (const file of Object.keys(DOCUMENTS)) {
  test(`${file} says what the source says`, async () => {
    assert.ok(await isCurrent(file), `${file} is old: run 'node test/documents/main.ts' and commit it`);
  });
}

test("every error has a sentence, a remedy, and a status that HTTP knows", () => {
  for (const [code, entry] of Object.entries(ERROR_CATALOGUE) as [string, ErrorEntry][]) {
    assert.match(code, /^[A-Z][A-Z0-9_]+$/, code);
    const isWarning = entry.status === 200 && entry.remedy.startsWith("A warning.");
    assert.ok(isWarning || (entry.status >= 400 && entry.status <= 599), code);
    assert.match(entry.message, /\.$/, `${code}: the message is a sentence`);
    assert.match(entry.remedy, /[.}]$/, `${code}: the remedy is a sentence`);
  }
});

test("every reason and event of the BPF programs is described", () => {
  assert.deepEqual(undocumented(), []);
});

test("every code of the catalogue is used somewhere", () => {
  const root = new URL("../../", import.meta.url);
  const text = globSync("packages/*/src/**/*.ts", { cwd: root })
    .filter((file) => !file.endsWith("model/src/errors.ts"))
    .map((file) => readFileSync(new URL(file, root), "utf8"))
    .join("\n");
  const unused = Object.keys(ERROR_CATALOGUE).filter((code) => !text.includes(`"${code}"`));
  assert.deepEqual(unused, [], "nothing throws these");
});

import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { PICTURES, PICTURES_DIRECTORY, PICTURES_STAMP, picturesHash } from "./pictures.ts";

const AGAIN = "run 'npm run pictures'";
const SIZE_MAX = 200_000;
const at = (file: string) => readFileSync(fileURLToPath(new URL(`../../${file}`, import.meta.url)), "utf8");

test("the pictures of the page are of the page as it is", () => {
  assert.equal(readFileSync(PICTURES_STAMP, "utf8").trim(), picturesHash(), `the page has changed: ${AGAIN}`);
});

test("every picture is there, is small, and is shown by README or the docs; there is no other", () => {
  const shown = at("README.md") + at("docs/console.md");
  for (const picture of PICTURES) {
    const size = statSync(`${PICTURES_DIRECTORY}${picture}.png`).size;
    assert.ok(size > 1_000 && size <= SIZE_MAX, `${picture}.png: ${size} bytes`);
    assert.ok(shown.includes(`pictures/${picture}.png`), `${picture}.png is shown nowhere`);
  }
  const files = readdirSync(PICTURES_DIRECTORY).filter((file) => file.endsWith(".png"));
  assert.deepEqual(files.sort(), PICTURES.map((picture) => `${picture}.png`).sort());
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ownDirectory } from "./compile-cache.ts";

const PROGRAM = fileURLToPath(new URL("./main.ts", import.meta.url));

test("compiled modules are kept, in a directory that nobody else may write", (t) => {
  const directory = mkdtempSync(join(tmpdir(), "holdfast-compiled-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const { NODE_COMPILE_CACHE: _, ...environment } = process.env;
  execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", PROGRAM, "--help"], {
    env: { ...environment, CACHE_DIRECTORY: directory },
  });
  assert.ok(readdirSync(join(directory, "compiled")).length > 0);

  const open = join(directory, "open");
  mkdirSync(open);
  chmodSync(open, 0o777);
  assert.equal(ownDirectory(open), undefined);
  const link = join(directory, "link");
  symlinkSync(join(directory, "compiled"), link);
  assert.equal(ownDirectory(link), undefined);
});

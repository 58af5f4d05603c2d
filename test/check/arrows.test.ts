import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { checkArrows, importsOf } from "./arrows.ts";

test("imports of every form are seen, those in comments are not", () => {
  const text = `import a from "one";
import {
  type b,
} from "two";
import type { c } from "three";
export * from "four";
import "five";
const d = await import("six");
// import e from "seven";
/* import f from "eight"; */
const g = "from 'nine'";
`;
  assert.deepEqual(importsOf(text), ["one", "two", "three", "four", "five", "six"]);
});

test("a forbidden arrow, a way around it, and an undeclared package are found", () => {
  const root = mkdtempSync(join(tmpdir(), "arrows-"));
  try {
    const put = (file: string, text: string) => {
      mkdirSync(dirname(join(root, file)), { recursive: true });
      writeFileSync(join(root, file), text);
    };
    put("packages/sync/package.json", JSON.stringify({ dependencies: { ws: "*" } }));
    put(
      "packages/sync/src/a.ts",
      'import "@holdfast/forwarder";\nimport "../../model/src/x.ts";\nimport "ws";\nimport "lmdb";\nimport "fs";\nimport "@holdfast/model";\n',
    );
    put("test/a.test.ts", 'import "../packages/sync/src/a.ts";\nimport "@holdfast/sync/testing";\n');
    put("packages/sync/src/a.test.ts", 'import "@holdfast/testkit";\nimport "fast-check";\n');
    assert.deepEqual(checkArrows(root), [
      "test/a.test.ts: '../packages/sync/src/a.ts' reaches into a package: export it for './testing'",
      "packages/sync/src/a.ts: sync may not import forwarder",
      "packages/sync/src/a.ts: '../../model/src/x.ts' reaches out of its package",
      "packages/sync/src/a.ts: 'lmdb' is not in packages/sync/package.json",
      "packages/sync/src/a.ts: write 'node:fs'",
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("what a browser loads may not need Node", () => {
  const root = mkdtempSync(join(tmpdir(), "arrows-"));
  try {
    for (const [file, text] of [
      ["api/package.json", "{}"],
      ["console/package.json", "{}"],
      ["api/src/node.ts", 'import "node:http";\n'],
      ["api/src/index.ts", 'export * from "./node.ts";\n'],
      ["console/src/page.tsx", 'import "@holdfast/api/node";\nimport "@holdfast/api";\nimport "node:fs";\n'],
      ["console/src/page.test.ts", 'import "node:test";\n'],
    ] as const) {
      const path = join(root, "packages", file);
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    }
    assert.deepEqual(checkArrows(root), [
      "packages/api/src/index.ts: './node.ts' is not for browsers",
      "packages/console/src/page.tsx: '@holdfast/api/node' is not for browsers",
      "packages/console/src/page.tsx: a browser has no 'node:fs'",
    ]);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test("the repository keeps its arrows", () => {
  assert.deepEqual(checkArrows(fileURLToPath(new URL("../../", import.meta.url))), []);
});

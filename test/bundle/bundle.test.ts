// What the image runs: the bundled command, in a tree without sources and without this one's modules.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";

const BUNDLE = fileURLToPath(new URL("../../deploy/bundle.ts", import.meta.url));
/** Half of what the modules take that a checkout runs with. */
const SIZE_MAX = 40_000_000;

let tree: string;
before(() => {
  tree = mkdtempSync(join(tmpdir(), "holdfast-tree-"));
  execFileSync(process.execPath, ["--disable-warning=ExperimentalWarning", BUNDLE, tree]);
});
after(() => rmSync(tree, { recursive: true, force: true }));

const run = (...words: string[]) =>
  execFileSync(process.execPath, [join(tree, "packages/cli/build/main.js"), ...words], {
    cwd: tmpdir(),
    encoding: "utf8",
  });

test("the command runs from it, with everything that it reads", () => {
  assert.match(run("--version"), /^\d+\.\d+\.\d+\n$/);
  assert.match(run("config", "show"), /^cluster:/);
  const made = join(tree, "made");
  run("certificates", "init", "--cluster", "test", "--directory", made);
  run("certificates", "issue", "m1", "--number", "0", "--directory", made);
  assert.match(readFileSync(join(made, "m1.crt"), "utf8"), /BEGIN CERTIFICATE/);
});

test("its threads' programs and what they load by its place are there, and so are the files beside them", () => {
  for (const program of ["engine-worker", "thread", "sign-of-life", "probe-credentials"])
    assert.ok(statSync(join(tree, `packages/cli/build/${program}.js`)).size > 0, program);
  for (const file of ["forwarder/build/holdfast.bpf.o", "console/build/console.js", "node/package.json"])
    assert.ok(statSync(join(tree, "packages", file)).size > 0, file);
  const urls = globSync(join(tree, "packages/cli/build/*.js")).flatMap((file) => [
    ...readFileSync(file, "utf8").matchAll(/new URL\("\.\/([\w-]+\.js)", import\.meta\.url\)/g),
  ]);
  assert.ok(urls.length >= 3);
  for (const [, file = ""] of urls)
    assert.ok(statSync(join(tree, "packages/cli/build", file)).size > 0, file);
});

test("it is small, has no source of ours, and says whose work is in it", () => {
  const files = globSync(join(tree, "**/*")).filter((file) => statSync(file).isFile());
  const size = files.reduce((sum, file) => sum + statSync(file).size, 0);
  assert.ok(size < SIZE_MAX, `${size} bytes`);
  assert.deepEqual(
    files.filter((file) => file.includes("/packages/") && file.endsWith(".ts")),
    [],
  );
  const licenses = readFileSync(join(tree, "packages/cli/build/licenses.txt"), "utf8");
  for (const name of ["fastify", "@automerge/automerge", "ws", "pino", "typebox"])
    assert.match(licenses, new RegExp(`^${name} \\d`, "m"));
});

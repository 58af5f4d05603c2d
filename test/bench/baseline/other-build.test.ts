import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type OtherBuild, OtherBuildError, otherBuild } from "./other-build.ts";

const repository = mkdtempSync(join(tmpdir(), "holdfast-other-build-"));
after(() => rmSync(repository, { recursive: true, force: true }));
const git = (...words: string[]) =>
  execFileSync("git", ["-C", repository, "-c", "user.name=t", "-c", "user.email=t@localhost", ...words]);
git("init", "-q");

/** Commits files beside those of the commits before; the tag names the commit. */
function commit(tag: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(repository, name)), { recursive: true });
    writeFileSync(join(repository, name), text);
  }
  git("add", "-A");
  git("commit", "-q", "-m", tag);
  git("tag", tag);
}

const LOCK = JSON.stringify({ packages: { "node_modules/thing": { version: "1.0.0" } } });
const BUILD = "packages/forwarder/build.sh";
commit("bare", { "README.md": "nothing to build" });
commit("first", {
  "package.json": "{}",
  "package-lock.json": LOCK,
  "packages/model/x.ts": "",
  [BUILD]: "mkdir build && touch build/o",
});
commit("broken", { [BUILD]: "echo the compiler says no >&2; exit 3" });
commit("newest", { "packages/model/x.ts": "export {}" });
// What this clone has installed: not part of any commit.
mkdirSync(join(repository, "node_modules/thing"), { recursive: true });
writeFileSync(join(repository, "node_modules/thing/package.json"), JSON.stringify({ version: "1.0.0" }));

const refusal = (revision: string, told: RegExp) =>
  assert.throws(
    () => otherBuild(revision, repository),
    (error: unknown) => error instanceof OtherBuildError && told.test(error.message),
  );

test("a revision is checked out and built, with packages that are installed already, and goes without a trace", () => {
  const build: OtherBuild = otherBuild("first", repository);
  try {
    assert.ok(existsSync(join(build.directory, "build/o")));
    assert.ok(existsSync(join(build.directory, "node_modules/thing/package.json")));
    assert.ok(existsSync(join(build.directory, "node_modules/@holdfast/model/x.ts")));
    assert.ok(existsSync(fileURLToPath(build.module("packages/model/x.ts") as string)));
    assert.equal(build.module("packages/model/y.ts"), undefined);
  } finally {
    build.close();
  }
  assert.equal(existsSync(build.directory), false);
});

test("an unknown revision is told with a way out", () => {
  refusal("no-such-tag", /there is no revision 'no-such-tag'.*git fetch --unshallow/s);
  // Not a word of git's own options either.
  refusal("--help", /there is no revision '--help'/);
});

test("a revision that cannot be built is told with the step and its output", () => {
  refusal("broken", /'broken' cannot be built: packages\/forwarder\/build.sh failed:\nthe compiler says no/);
  refusal("bare", /'bare' has no package.json/);
});

test("the command refuses what it cannot do before anything is measured", () => {
  const bench = (...words: string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL("../main.ts", import.meta.url)), ...words]);
  for (const [words, told] of [
    [["forward", "--baseline"], "--baseline takes a git revision"],
    [["init", "--baseline", "HEAD"], "bench init takes no --baseline"],
    [["forward", "--baseline=no-such-revision"], "there is no revision 'no-such-revision'"],
    [["nothing"], "|forward|"],
    [["takeover", "--kill", "3"], "there is no --kill here: it takes --protocol, "],
    [["start", "--rounds", "few"], "--rounds takes a number, not 'few'"],
  ] as const) {
    const { status, stderr } = bench(...words);
    assert.equal(status, 2);
    assert.ok(stderr.toString().includes(told), stderr.toString());
  }
});

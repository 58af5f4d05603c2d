import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { buildOf, releases, releasesOf } from "./releases.ts";

const directory = mkdtempSync(join(tmpdir(), "holdfast-releases-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("releases are the rows that name a commit", () => {
  const [a, b] = ["a".repeat(40), "b".repeat(40)];
  const text = `| Release | Commit |\n|---|---|\n| 0.1.0 | \`${a}\` | x |\n| 0.2.0 | \`${b}\` | y |\n| 0.3.0 | the newest commit | |\n`;
  assert.deepEqual(releasesOf(text), [
    { name: "0.1.0", commit: a },
    { name: "0.2.0", commit: b },
  ]);
  for (const { commit } of releases()) assert.match(commit, /^[0-9a-f]{40}$/);
});

test("the packages are those of the newest release, so that an upgrade can be seen", () => {
  const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), "utf8");
  const rows = [...read("docs/releases.md").matchAll(/^\|\s*(\d+\.\d+\.\d+)\s*\|/gm)].map(([, name]) => name);
  const manifests = [
    "package.json",
    ...readdirSync(new URL("../../packages", import.meta.url)).map((name) => `packages/${name}/package.json`),
  ];
  for (const file of manifests) assert.equal(JSON.parse(read(file)).version, rows.at(-1), file);
  assert.equal(/^appVersion: "(.*)"$/m.exec(read("deploy/kubernetes/chart/Chart.yaml"))?.[1], rows.at(-1));
});

test("a clone without the release's commit says so, and how to have it", () => {
  const git = (repository: string, ...words: string[]) =>
    execFileSync("git", ["-C", repository, "-c", "user.name=t", "-c", "user.email=t@localhost", ...words]);
  const whole = join(directory, "whole");
  git(directory, "init", "-q", whole);
  for (const name of ["first", "second"]) {
    writeFileSync(join(whole, name), name);
    git(whole, "add", "-A");
    git(whole, "commit", "-q", "-m", name);
  }
  const commit = git(whole, "rev-parse", "HEAD~1").toString().trim();
  const shallow = join(directory, "shallow");
  git(directory, "clone", "-q", "--depth", "1", `file://${whole}`, shallow);
  assert.throws(
    () => buildOf({ name: "9.9.9", commit }, shallow),
    /release 9\.9\.9 of docs\/releases\.md cannot be built: there is no revision .*git fetch --unshallow/,
  );
});

// The documents, alert rules and dashboard speak of metrics that exist, and of all of them.
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";

const read = (file: string) => readFileSync(file, "utf8");
const registry = globSync("packages/node/src/metrics/*.ts").map(read).join("\n");
const names = new Set([...registry.matchAll(/"(holdfast_[a-z_]+)"/g)].map((match) => match[1] as string));
const mentioned = (text: string) =>
  [...text.matchAll(/\bholdfast_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, ""));
const operating = read("docs/operating.md");

test("the registry was found", () => assert.ok(names.size > 10));

for (const file of [
  "docs/operating.md",
  "deploy/observation/alerts.yaml",
  "deploy/observation/grafana-dashboard.json",
]) {
  test(`${file} names only metrics that exist`, () => {
    const unknown = mentioned(read(file)).filter((name) => !names.has(name));
    assert.deepEqual(unknown, []);
  });
}

test("docs/operating.md lists every metric", () => {
  const missing = [...names].filter((name) => !operating.includes(`\`${name}\``));
  assert.deepEqual(missing, []);
});

test("every alert has its entry in docs/operating.md, and the other way round", () => {
  const { groups } = parse(read("deploy/observation/alerts.yaml")) as {
    groups: { rules: { alert: string }[] }[];
  };
  const alerts = groups.flatMap(({ rules }) => rules.map(({ alert }) => alert)).sort();
  const listed = [...operating.matchAll(/^\| (Holdfast\w+) \|/gm)].map((match) => match[1] as string).sort();
  assert.deepEqual(listed, alerts);
});

test("the dashboard is valid JSON with a query in every panel", () => {
  const { panels } = JSON.parse(read("deploy/observation/grafana-dashboard.json")) as {
    panels: { targets: { expr: string }[] }[];
  };
  assert.ok(
    panels.length > 0 &&
      panels.every(({ targets }) => targets.length > 0 && targets.every(({ expr }) => expr !== "")),
  );
});

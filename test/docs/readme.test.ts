// What the documents tell a reader to type exists, and every link leads somewhere.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";

const documents = ["README.md", ...globSync("docs/*.md")];
const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
const benches = globSync("test/bench/*.ts").map((file) => /([^/]+)\.ts$/.exec(file)?.[1]);

for (const document of documents) {
  const text = readFileSync(document, "utf8");
  test(`${document}: every npm command is a script whose program exists`, () => {
    for (const [, name = ""] of text.matchAll(/npm (?:run )?(test|[a-z]+(?::[a-z]+)?)/g)) {
      if (["install", "pack", "and", "packages", "package", "run"].includes(name)) continue;
      assert.ok(scripts[name] !== undefined, `npm run ${name}`);
      const program = /(test|deploy)\/[\w/-]+\.ts/.exec(scripts[name])?.[0];
      if (program !== undefined) assert.ok(existsSync(program), program);
    }
  });
  test(`${document}: every benchmark exists`, () => {
    for (const [, names = ""] of text.matchAll(/npm run bench -- ([a-z|\\-]+)/g))
      for (const name of names.split(/\\?\|/)) assert.ok(benches.includes(name), name);
  });
  test(`${document}: every link to a file leads to one`, () => {
    for (const [, target = ""] of text.matchAll(/\]\(([\w./-]+)(?:#[^)]*)?\)/g))
      assert.ok(existsSync(join(dirname(document), target)), target);
  });
}

const help = execFileSync(
  process.execPath,
  ["--disable-warning=ExperimentalWarning", "packages/cli/src/main.ts", "--help"],
  {
    encoding: "utf8",
  },
);
for (const document of documents) {
  test(`${document}: every holdfast command exists`, () => {
    const text = readFileSync(document, "utf8");
    const typed = [...text.matchAll(/(?:^|`)holdfast ([a-z]+)/gm)].map(([, name]) => name as string);
    for (const name of typed) assert.match(help, new RegExp(`^ {2}${name}\\b`, "m"), `holdfast ${name}`);
  });
}

test("docs/n2.md: the configuration that it shows is right", () => {
  const [, yaml = ""] = /```yaml\n([\s\S]*?)```/.exec(readFileSync("docs/n2.md", "utf8")) ?? [];
  const directory = mkdtempSync(join(tmpdir(), "holdfast-n2-"));
  try {
    const file = join(directory, "holdfast.yaml");
    writeFileSync(file, yaml);
    const words = ["--disable-warning=ExperimentalWarning", "packages/cli/src/main.ts", "config", "check"];
    const env = { ...process.env, HOLDFAST_MEMBER_NAME: "m1" };
    assert.match(
      execFileSync(process.execPath, [...words, "--config", file], { env }).toString(),
      /is right/,
    );
  } finally {
    rmSync(directory, { recursive: true });
  }
});

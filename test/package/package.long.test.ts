// The npm package: packed, installed elsewhere, and run from there over a living association.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { Cluster, until } from "@holdfast/testkit";

const directory = mkdtempSync(join(tmpdir(), "holdfast-package-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const command = join(directory, "node_modules/holdfast/bin/holdfast.js");

test("the package is packed and installed", () => {
  const packed = execFileSync(
    process.execPath,
    ["--disable-warning=ExperimentalWarning", "deploy/npm/pack.ts", directory],
    {
      encoding: "utf8",
    },
  ).trim();
  const bill = JSON.parse(readFileSync(packed.replace(/\.tgz$/, ".cdx.json"), "utf8"));
  assert.equal(bill.bomFormat, "CycloneDX");
  assert.equal(bill.metadata.component.name, "holdfast");
  const names = new Set(bill.components.map(({ name }: { name: string }) => name));
  for (const name of ["fastify", "koffi", "ws", "@automerge/automerge"]) assert.ok(names.has(name), name);
  assert.ok(!names.has("typescript") && !names.has("fast-check"), "what only builds and tests is left out");
  writeFileSync(join(directory, "package.json"), "{}");
  execFileSync("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", packed], {
    cwd: directory,
    stdio: "pipe",
  });
  const shown = execFileSync(process.execPath, [command, "config", "show"], {
    cwd: directory,
    encoding: "utf8",
  });
  assert.match(shown, /^cluster:\n {2}id: holdfast/);
});

test("a node runs from the installed package, is stopped and upgraded, and an association lives through it", async () => {
  const cluster = new Cluster({ clients: [2] });
  try {
    const [member] = cluster.members;
    assert.ok(member);
    await cluster.start();
    const server = await cluster.startEndpoint();
    const client = await cluster.startClient(0, { rate: 50 });
    await client.established(1);
    assert.equal(await member.stop(), 0);
    // The upgrade: another installation of the program takes over what is pinned.
    member.program = command;
    await member.start();
    const before = (await client.associations())[0]?.sent ?? 0;
    await until("messages to go on", async () => ((await client.associations())[0]?.sent ?? 0) > before + 50);
    const [figures] = await client.settle();
    const [receipt] = await server.receipts();
    assert.ok(figures?.up && figures.ups === 1 && figures.lost === 0 && figures.restarts === 0);
    assert.equal(receipt?.received, figures?.sent);
  } finally {
    await cluster.close();
  }
});

// The procedures of docs/operating.md, "Certificates", done while everything runs: another secret, other
// certificates and another authority. Two are valid at a time; whoever restarts in between, and after it, is
// heard.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { type Cluster, HOLDFAST_PROGRAM, type Member, runSync, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";

const certificates = (...words: string[]) =>
  runSync(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    HOLDFAST_PROGRAM,
    "certificates",
    ...words,
  ]);

/** Everybody reads its files again, and says so. */
async function readAnew(cluster: Cluster, line: string): Promise<void> {
  const count = (member: Member) => member.log().split(line).length;
  const before = new Map(cluster.members.map((member) => [member, count(member)]));
  for (const member of cluster.members) member.signal("SIGHUP");
  await until(
    `everybody to say "${line}"`,
    () => cluster.members.every((member) => count(member) > (before.get(member) ?? 0)),
    30_000,
  );
}

/** A member that begins again finds everybody, and is found. */
async function beginsAgain(scene: Scene, member: Member): Promise<void> {
  const { cluster } = scene;
  await member.killDaemon();
  await member.start();
  await until(
    `${member.name} to be heard and connected`,
    async () => {
      const lists = await Promise.all(
        cluster.members.map((each) =>
          each.get<{ items: { name: string; phase: string; ready: boolean }[] }>("/v1/members"),
        ),
      );
      return lists.every(({ items }) => items.every(({ phase, ready }) => phase === "alive" && ready));
    },
    60_000,
  );
  await cluster.settled();
  await scene.flowing(10);
}

test("secret, certificates and authority are replaced under associations", async (t) => {
  await Scene.play({ members: 3, clients: [3], vipNetworks: true, rate: 30 }, async (scene) => {
    const { cluster } = scene;
    await scene.confirmed();
    const directory = join(cluster.lab.directory, "certificates");
    const [m1, m2, m3] = cluster.members as [Member, Member, Member];

    await t.test("a secret: beside the old one, before it, alone", async () => {
      const file = join(directory, "cluster.secret");
      const old = readFileSync(file, "utf8").trim();
      const next = "another secret of the cluster";
      const line = "the cluster's secrets were read anew";
      writeFileSync(file, `${old}\n${next}\n`);
      await readAnew(cluster, line);
      writeFileSync(file, `${next}\n${old}\n`);
      await readAnew(cluster, line);
      await beginsAgain(scene, m1);
      writeFileSync(file, `${next}\n`);
      await readAnew(cluster, line);
      await beginsAgain(scene, m3);
    });
    await t.test("a secret that is too short is refused, and the old one stays", async () => {
      const file = join(directory, "cluster.secret");
      const good = readFileSync(file, "utf8");
      writeFileSync(file, "short\n");
      m2.signal("SIGHUP");
      await until("it to be refused", () => m2.log().includes("a new secret is not taken"), 20_000);
      writeFileSync(file, good);
      await scene.flowing(5);
    });
    await t.test("an authority: both, then certificates of the new one, then it alone", async () => {
      const line = "certificates were read anew";
      const other = join(cluster.lab.directory, "other-authority");
      certificates("init", "--cluster", "lab", "--directory", other);
      const authority = join(directory, "authority.crt");
      const newer = readFileSync(join(other, "authority.crt"), "utf8");
      writeFileSync(authority, `${readFileSync(authority, "utf8")}\n${newer}`);
      await readAnew(cluster, line);
      for (const { name, number } of cluster.members) {
        certificates("issue", name, "--number", String(number), "--directory", other);
        copyFileSync(join(other, `${name}.key`), join(directory, `${name}.key`));
        copyFileSync(join(other, `${name}.crt`), join(directory, `${name}.crt`));
      }
      await readAnew(cluster, line);
      await beginsAgain(scene, m2);
      writeFileSync(authority, newer);
      await readAnew(cluster, line);
      await beginsAgain(scene, m1);
    });
    await t.test("nobody is near an end", async () => {
      for (const member of cluster.members)
        assert.ok((await member.metric("holdfast_certificate_end_seconds")) > Date.now() / 1_000);
    });
    await scene.judge();
  });
});

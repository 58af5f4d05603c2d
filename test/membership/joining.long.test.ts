// How a member comes to a cluster that runs: by the operator's command, found by names that are resolved
// again when they fail; and by its certificate alone.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HOLDFAST_PROGRAM, type Member, runSync, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import {
  addressesOf,
  addressWords,
  allAgree,
  isListed,
  isRemoved,
  listOf,
  namesOf,
  SETTLE_S,
  say,
  sayOnceSettled,
} from "./list.ts";

const EXIT = { notFound: 4, conflict: 5 };
const SCENE = { members: 3, spares: 2, clients: [3], vipNetworks: true, rate: 40 };

const certificates = (...words: string[]) =>
  runSync(process.execPath, [
    "--disable-warning=ExperimentalWarning",
    HOLDFAST_PROGRAM,
    "certificates",
    ...words,
  ]);

/** It runs, and takes no part. */
const isNotReady = (member: Member) =>
  until(
    `${member.name} to say that it is not ready`,
    async () => (await member.fetch("GET", "/v1/health/ready").catch(() => undefined))?.status === 503,
    30_000,
  );

test("holdfast member add and remove, at a member that finds the others by name", async (t) => {
  await Scene.play({ ...SCENE, configuration: { timers: { initS: SETTLE_S } } }, async (scene) => {
    const { cluster } = scene;
    await scene.confirmed();
    const [m1, m2] = cluster.members as [Member, Member, Member];
    const [m4, m5] = cluster.spares as [Member, Member];
    const hosts = join(cluster.lab.directory, "m4.hosts");
    const number = String(m4.number);
    const add = (name: string, given: string, ...words: string[]) =>
      sayOnceSettled(m1, "add", name, "--number", given, ...addressWords(m4), ...words);

    await t.test("a name that leads nowhere is resolved again until it leads to a member", async () => {
      writeFileSync(hosts, "127.0.0.1 localhost\n127.0.0.1 members.example.net\n");
      m4.hostsFile = hosts;
      m4.configure({
        cluster: { join: ["nobody.example.net:7081", "members.example.net:7081"] },
        log: { level: "debug" },
      });
      m4.launch();
      await until(
        "both names to have failed",
        () =>
          ["nobody.example.net", "members.example.net"].every((name) =>
            m4
              .log()
              .split("\n")
              .some((line) => line.includes("dial failed") && line.includes(name)),
          ),
        30_000,
      );
      await isNotReady(m4);
      assert.ok(!m4.log().includes("not-configured"), "nobody has answered it yet");
      writeFileSync(hosts, `127.0.0.1 localhost\n${m2.host.addresses("cluster")[0]} members.example.net\n`);
      await until(
        "m2 to tell it that nobody has added it",
        () => m4.log().includes("not-configured"),
        30_000,
      );
      assert.deepEqual(namesOf(await listOf(m1)), ["m1", "m2", "m3"]);
    });
    await t.test("member add puts it on the list, and it takes part without a restart", async () => {
      const { pid } = m4;
      const said = await add("m4", number);
      assert.equal(said.status, 0, said.problem);
      assert.match(said.out, /^m4 /m);
      isListed(scene, m4);
      await m4.ready();
      await allAgree(scene);
      await scene.flowing(10);
      assert.equal(m4.pid, pid);
    });
    await t.test("what contradicts the list is refused in words, with an exit code", async () => {
      const name = await add("m4", "7");
      assert.equal(name.status, EXIT.conflict);
      assert.match(name.problem, /MEMBER_EXISTS/);
      const taken = await add("m9", number);
      assert.equal(taken.status, EXIT.conflict);
      assert.match(taken.problem, /MEMBER_NUMBER_TAKEN/);
      const nobody = await sayOnceSettled(m1, "remove", "m9");
      assert.equal(nobody.status, EXIT.notFound);
      assert.equal((await say(m1, "add", "m9", "--number", "five", "--address", "10.8.0.9")).status, 2);
    });
    await t.test("member remove hands its VIPs over, and says for how long its number rests", async () => {
      const fromMs = Date.now();
      const said = await sayOnceSettled(m1, "remove", "m4");
      assert.equal(said.status, 0, said.problem);
      assert.match(said.out, new RegExp(`^number ${number} \\(m4\\) rests for [1-9]\\d* s at least$`, "m"));
      isRemoved(scene, m4);
      await until("m4 to know", () => m4.log().includes("was removed from the cluster"), 10_000);
      await isNotReady(m4);
      await allAgree(scene);
      await scene.flowing(10);
      assert.deepEqual(scene.swallowed(fromMs, Date.now() - 500), []);
    });
    await t.test("the number is refused to another with the time to wait, at every member", async () => {
      for (const at of cluster.members) {
        const early = await sayOnceSettled(at, "add", "m6", "--number", number, ...addressWords(m5));
        assert.equal(early.status, EXIT.conflict);
        assert.match(early.problem, /MEMBER_NUMBER_RESTS/);
        assert.match(early.problem, /for [1-9]\d* s at least/);
      }
      assert.deepEqual(namesOf(await listOf(m1)), ["m1", "m2", "m3"]);
    });
    await scene.judge();
  });
});

test("cluster.admit: certificate: a certificate of the authority is enough to join", async (t) => {
  const configuration = { cluster: { admit: "certificate" }, timers: { initS: SETTLE_S } };
  await Scene.play({ ...SCENE, configuration }, async (scene) => {
    const { cluster } = scene;
    await scene.confirmed();
    const [m1] = cluster.members as [Member, Member, Member];
    const [m4, m5] = cluster.spares as [Member, Member];
    const directory = join(cluster.lab.directory, "certificates");

    await t.test("one of another authority stays outside, and is told in the logs of both", async () => {
      const other = join(cluster.lab.directory, "other-authority");
      certificates("init", "--cluster", "lab", "--directory", other);
      certificates("issue", "m5", "--number", String(m5.number), "--directory", other);
      for (const file of ["m5.crt", "m5.key"]) copyFileSync(join(other, file), join(directory, file));
      m5.configure({
        cluster: {
          certificates: {
            authority: join(other, "authority.crt"),
            certificate: join(directory, "m5.crt"),
            key: join(directory, "m5.key"),
          },
        },
      });
      m5.launch();
      await isNotReady(m5);
    });
    await t.test("one of this authority is added with the addresses of its certificate", async () => {
      certificates(
        "issue",
        "m4",
        "--number",
        String(m4.number),
        ...addressWords(m4),
        "--directory",
        join(directory),
      );
      m4.launch();
      const listed = await until(
        "m4 to be on the list",
        async () => (await listOf(m1)).items.find(({ name }) => name === "m4"),
        30_000,
      );
      assert.equal(listed.number, m4.number);
      assert.deepEqual([...listed.addresses].sort(), addressesOf(m4).sort());
      isListed(scene, m4);
      await m4.ready();
      await allAgree(scene);
      await scene.flowing(10);
    });
    await t.test("one that was removed is not let in again by its certificate", async () => {
      const said = await sayOnceSettled(m1, "remove", "m4");
      assert.equal(said.status, 0, said.problem);
      isRemoved(scene, m4);
      await allAgree(scene);
      await m4.killDaemon();
      // As on a new machine: nothing tells it that it was a member once.
      rmSync(m4.storeDirectory, { recursive: true });
      const told = () => m4.log().split("m4 was removed from the cluster").length;
      const before = told();
      m4.launch();
      await until("it to be told again", () => told() > before, 60_000);
      await isNotReady(m4);
      assert.deepEqual(namesOf(await listOf(m1)), ["m1", "m2", "m3"]);
      await scene.flowing(10);
    });
    await t.test("nor is another certificate with its number, which rests", async () => {
      await m4.killDaemon();
      rmSync(m4.storeDirectory, { recursive: true });
      // The command that issues knows who has a number; whoever has the authority's key need not ask it.
      const copy = join(cluster.lab.directory, "copy-of-the-authority");
      mkdirSync(copy);
      for (const file of ["authority.crt", "authority.key"])
        copyFileSync(join(directory, file), join(copy, file));
      writeFileSync(join(copy, "members.json"), JSON.stringify({ clusterId: "lab", members: {} }));
      const again = ["--number", String(m4.number), ...addressWords(m4), "--directory", copy];
      certificates("issue", "m6", ...again);
      m4.configure({
        member: { name: "m6" },
        cluster: {
          certificates: {
            authority: join(directory, "authority.crt"),
            certificate: join(copy, "m6.crt"),
            key: join(copy, "m6.key"),
          },
        },
      });
      m4.launch();
      await until(
        "its application to be refused with the time that it must wait",
        () =>
          cluster.members.some((member) =>
            member
              .log()
              .split("\n")
              .some((line) => /an applicant is not taken/.test(line) && /for [1-9]\d* s at least/.test(line)),
          ),
        60_000,
      );
      await isNotReady(m4);
      assert.deepEqual(namesOf(await listOf(m1)), ["m1", "m2", "m3"]);
      await scene.flowing(10);
    });
    await t.test("the one of another authority was never on it", async () => {
      assert.equal((await m5.fetch("GET", "/v1/health/ready")).status, 503);
    });
    await scene.judge();
  });
});

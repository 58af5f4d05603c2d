import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { Member } from "@holdfast/testkit";
import { brief, Scene } from "./scene.ts";
import { bringBack, staysPut } from "./trouble.ts";

/** Loaded into a daemon: SIGUSR2 keeps its main loop busy for a second, and its wall clock is off by so much. */
const PRELOAD = `
import { isMainThread } from "node:worker_threads";
const now = Date.now.bind(Date);
const offsetMs = Number(process.env.WALL_OFFSET_MS ?? 0);
if (offsetMs !== 0) Date.now = () => now() + offsetMs;
if (isMainThread)
  process.on("SIGUSR2", () => {
    console.log("busy");
    const end = performance.now() + 1000;
    while (performance.now() < end);
  });
`;

test("three members: partitions, restarts one by one, busy loops, clocks that moved", async (t) => {
  await Scene.play({ members: 3, clients: [3, 2, 1], rate: 40 }, async (scene) => {
    const { cluster } = scene;
    const preload = join(cluster.lab.directory, "preload.mjs");
    writeFileSync(preload, PRELOAD);
    const relaunch = async (member: Member, wallOffsetMs: number) => {
      const { NODE_OPTIONS: options, WALL_OFFSET_MS: _ } = process.env;
      process.env["NODE_OPTIONS"] = `${options ?? ""} --import=${preload}`;
      process.env["WALL_OFFSET_MS"] = String(wallOffsetMs);
      try {
        await bringBack(scene, member);
      } finally {
        if (options === undefined) delete process.env["NODE_OPTIONS"];
        else process.env["NODE_OPTIONS"] = options;
        delete process.env["WALL_OFFSET_MS"];
      }
    };
    await scene.confirmed();
    await t.test("all three are restarted one by one under load, and no packet is missing", async () => {
      const fromMs = Date.now();
      for (const member of cluster.members) {
        assert.equal(await member.stop(), 0);
        await scene.flowing(10);
        await relaunch(member, 0);
        await scene.flowing(10);
      }
      assert.deepEqual(scene.swallowed(fromMs, Date.now() - 500).map(brief), []);
    });
    await t.test("the clock of each moves by an hour, forth or back", async () => {
      for (const [index, member] of cluster.members.entries()) {
        await member.killDaemon();
        await relaunch(member, (index === 1 ? 1 : -1) * 3_600_000);
        await scene.flowing(10);
      }
    });
    await t.test("a busy event loop is not a death", async () => {
      const owner = await scene.ownerOf();
      await staysPut(scene, owner, () => owner.signal("SIGUSR2"));
      assert.ok(owner.log().includes("busy"));
    });
    for (const [name, split] of [
      ["one and two", [[0], [1, 2]]],
      ["each alone", [[0], [1], [2]]],
    ] as const) {
      await t.test(`a partition into ${name}, and its end`, async () => {
        cluster.partition(split.map((group) => group.map((index) => cluster.members[index] as Member)));
        await scene.flowing(50);
        cluster.mend();
        await cluster.settled();
        await scene.flowing(50);
      });
    }
    await t.test("the owner dies, the successor dies before it can have settled, both return", async () => {
      const first = await scene.ownerOf();
      await first.killDaemon();
      const second = cluster.members.find((member) => member.running) as Member;
      await second.killNode();
      await scene.flowing(20);
      second.host.plug();
      await Promise.all([bringBack(scene, first), bringBack(scene, second)]);
      await scene.flowing(20);
    });
    await scene.judge();
  });
});

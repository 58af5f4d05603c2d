import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { brief, type Member, until } from "@holdfast/testkit";
import { Scene } from "./scene.ts";
import { bringBack, staysPut } from "./trouble.ts";

/**
 * Loaded into every thread of a daemon: its wall clock is off by what stands in a file, now; SIGUSR2 keeps
 * its main loop busy, and then with collecting garbage: together less than the two seconds after which it is
 * not ready.
 */
const PRELOAD = `
import { readFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";
const now = Date.now.bind(Date);
let offsetMs = 0;
const read = () => {
  offsetMs = Number(readFileSync(process.env.WALL_OFFSET_FILE, "utf8")) || 0;
};
read();
setInterval(read, 20).unref();
Date.now = () => now() + offsetMs;
if (isMainThread)
  process.on("SIGUSR2", () => {
    let end = performance.now() + 700;
    while (performance.now() < end);
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc");
    const heap = Array.from({ length: 1_000_000 }, (_, i) => ({ i }));
    for (end = performance.now() + 700; performance.now() < end; ) gc();
    console.log("was busy with", heap.length);
  });
`;
const HOUR_MS = 3_600_000;

test("three members: partitions, restarts one by one, busy loops, clocks that moved", async (t) => {
  await Scene.play({ members: 3, clients: [3, 2, 1], rate: 40 }, async (scene) => {
    const { cluster } = scene;
    const preload = join(cluster.lab.directory, "preload.mjs");
    writeFileSync(preload, PRELOAD);
    const offsetFile = (member: Member) => join(cluster.lab.directory, `${member.name}.offset`);
    const setClock = (member: Member, offsetMs: number) =>
      writeFileSync(offsetFile(member), String(offsetMs));
    const relaunch = async (member: Member, wallOffsetMs: number) => {
      const { NODE_OPTIONS: options } = process.env;
      setClock(member, wallOffsetMs);
      process.env["NODE_OPTIONS"] = `${options ?? ""} --import=${preload}`;
      process.env["WALL_OFFSET_FILE"] = offsetFile(member);
      try {
        await bringBack(scene, member);
      } finally {
        if (options === undefined) delete process.env["NODE_OPTIONS"];
        else process.env["NODE_OPTIONS"] = options;
        delete process.env["WALL_OFFSET_FILE"];
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
    await t.test(
      "the clock of each moves by an hour, forth or back, while it is down and while it runs",
      async () => {
        for (const [index, member] of cluster.members.entries()) {
          await member.killDaemon();
          await relaunch(member, (index === 1 ? 1 : -1) * HOUR_MS);
          await scene.flowing(10);
        }
        const owners = await cluster.settled();
        for (const [index, member] of cluster.members.entries()) {
          setClock(member, (index === 1 ? -1 : 1) * HOUR_MS);
          await scene.flowing(50);
        }
        assert.deepEqual(await cluster.settled(), owners, "no VIP had a reason to move");
        assert.equal((await scene.sessions()).length, scene.clients.length);
      },
    );
    await t.test("a busy event loop and a long garbage collection are not a death", async () => {
      const owner = await scene.ownerOf();
      await staysPut(scene, owner, () => owner.signal("SIGUSR2"));
      await scene.flowing(50);
      await until("the loop to have been busy", () => owner.log().includes("was busy"));
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

// A member loses its disk when nobody else of its file is in the cluster any more: today's members tell it
// their list.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { type Member, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import {
  addressWords,
  allAgree,
  isListed,
  isRemoved,
  listOf,
  namesOf,
  SETTLE_S,
  sayOnceSettled,
} from "./list.ts";

const SCENE = { members: 3, spares: 2, clients: [3], vipNetworks: true, rate: 40 };

test("a member without its disk, whose file names only members that were replaced", async (t) => {
  await Scene.play({ ...SCENE, configuration: { timers: { initS: SETTLE_S } } }, async (scene) => {
    const { cluster } = scene;
    await scene.confirmed();
    const [m1, m2, m3] = cluster.members as [Member, Member, Member];
    const [m4, m5] = cluster.spares as [Member, Member];
    const replace = async (dead: Member, by: Member) => {
      await dead.killNode();
      await scene.flowing(10);
      const removed = await sayOnceSettled(m1, "remove", dead.name, "--gone");
      assert.equal(removed.status, 0, removed.problem);
      isRemoved(scene, dead);
      const words = ["--number", String(by.number), ...addressWords(by)];
      const added = await sayOnceSettled(m1, "add", by.name, ...words);
      assert.equal(added.status, 0, added.problem);
      isListed(scene, by);
      await by.start();
      await allAgree(scene);
    };

    await t.test("the others are replaced, one after the other", async () => {
      await replace(m2, m4);
      await replace(m3, m5);
      assert.deepEqual(namesOf(await listOf(m4)), ["m1", "m4", "m5"]);
    });
    await t.test("it is told that its list is old, takes today's, and is one of them again", async () => {
      const { version } = await listOf(m4);
      await m1.killDaemon();
      await scene.flowing(10);
      rmSync(m1.storeDirectory, { recursive: true });
      m1.launch();
      await until(
        "it to say that its list is old",
        () => /the list of members here \(version 0\) is old: m[45], which is not on it/.test(m1.log()),
        60_000,
      );
      await until("it to be on the list", () => m1.log().includes("this member is on the list"), 60_000);
      await m1.ready();
      await allAgree(scene);
      const list = await listOf(m1);
      assert.equal(list.version, version);
      assert.deepEqual(namesOf(list), ["m1", "m4", "m5"]);
      await scene.flowing(10);
    });
    await scene.judge();
  });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { brief, type Member, until } from "@holdfast/testkit";
import { Scene } from "./scene.ts";
import { aloneOn, bringBack, goneFrom, staysPut } from "./trouble.ts";

test("three members: stopped, cut off, drained, killed; no association notices", async (t) => {
  await Scene.play({ members: 3, clients: [3, 3], vipNetworks: true, rate: 40 }, async (scene) => {
    const { cluster } = scene;
    const primary = cluster.vips[0] as Address;
    await scene.confirmed();
    await t.test("the VIPs of the service are at different members", async () => {
      // A member that was presumed dead while all of them started stands back for a while.
      await until("three owners", async () => new Set((await cluster.settled()).values()).size === 3);
    });
    await t.test("the cluster network alone is cut: nobody moves", async () => {
      const owner = await scene.ownerOf(primary);
      await staysPut(scene, owner, () => owner.host.cut("cluster"));
      owner.host.heal("cluster");
      await scene.flowing(10);
    });
    await t.test("one member is cut off from one path network: its VIP there moves, the others stay", () =>
      aloneOn(scene, primary),
    );
    await t.test("the owner stands still, and comes back as a zombie", async () => {
      const owner = await scene.ownerOf(primary);
      owner.signal("SIGSTOP");
      await goneFrom(scene, owner, primary);
      await scene.flowing(20);
      owner.signal("SIGCONT");
      await cluster.settled();
      await scene.flowing(20);
    });
    await t.test("a graceful stop loses not one packet, nor does the return", async () => {
      const owner = await scene.ownerOf(primary);
      const fromMs = Date.now();
      assert.equal(await owner.stop(), 0);
      assert.notEqual((await cluster.settled()).get(primary), owner.name);
      await scene.flowing(20);
      await bringBack(scene, owner);
      await scene.flowing(20);
      assert.deepEqual(scene.swallowed(fromMs, Date.now() - 500).map(brief), []);
    });
    await t.test("two of three die, one by one, and return", async () => {
      const first = await scene.ownerOf(primary);
      await first.killNode();
      await goneFrom(scene, first, primary);
      await scene.flowing(10);
      const second = await scene.ownerOf(primary);
      await second.killDaemon();
      await goneFrom(scene, second, primary);
      await scene.flowing(10);
      const last = cluster.members.find((member) => member.running) as Member;
      assert.deepEqual([...new Set((await cluster.owners(last)).values())], [last.name]);
      first.host.plug();
      await Promise.all([bringBack(scene, first), bringBack(scene, second)]);
      await scene.flowing(10);
    });
    await scene.judge();
  });
});

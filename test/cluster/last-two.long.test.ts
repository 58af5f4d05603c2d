// One of three is dead, and a cable of another is cut: the last two hear nobody on that network, and only
// what endpoints and clients answer tells which of them still reaches anybody.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import type { Member } from "@holdfast/testkit";
import { Scene } from "./scene.ts";
import { bringBack, goneFrom } from "./trouble.ts";

test("two members are left, and one of them is cut off from a network", async (t) => {
  await Scene.play(
    { members: 3, clients: [3, 2, 1], vipNetworks: true, rate: 40, assocMaxRetrans: 60 },
    async (scene) => {
      const { cluster } = scene;
      const primary = cluster.vips[0] as Address;
      await scene.confirmed();
      const first = await scene.ownerOf(primary);
      const dead = cluster.members.find((member) => member !== first) as Member;
      await dead.killNode();
      for (const vip of cluster.vips) await goneFrom(scene, dead, vip);
      await scene.flowing(10);
      for (const network of ["core", cluster.networkOf(primary, 3) as string]) {
        await t.test(`its VIPs move to the other: ${network}`, async () => {
          const owner = await scene.ownerOf(primary);
          const affected = cluster.vips.filter(
            (vip) => network === "core" || cluster.networkOf(vip, 3) === network,
          );
          owner.host.cut(network);
          for (const vip of affected) await goneFrom(scene, owner, vip);
          // While it lasts, every association goes on.
          await scene.flowing(40);
          const other = cluster.members.find((member) => member.running && member !== owner) as Member;
          const now = await cluster.owners(other);
          for (const vip of affected) assert.equal(now.get(vip), other.name);
          owner.host.heal(network);
          await cluster.settled();
          await scene.flowing(20);
        });
      }
      await t.test("both hear routers: nobody moves for a cut that reaches no one else", async () => {
        const [one, two] = cluster.members.filter((member) => member.running) as [Member, Member];
        const before = await cluster.settled();
        one.host.cut("cluster");
        await scene.flowing(40);
        assert.deepEqual(await cluster.owners(two), before);
        one.host.heal("cluster");
        await cluster.settled();
      });
      dead.host.plug();
      await bringBack(scene, dead);
      await scene.flowing(10);
      await scene.judge();
    },
  );
});

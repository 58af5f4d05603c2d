// Two of three are dead and the operator asked for two (coordinator.minimumMembers): the last one takes over
// nothing, but what it announces it keeps. Associations go on, new ones get in, and the log says what to do.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { bringBack } from "../cluster/trouble.ts";

interface Vip {
  readonly vip: string;
  readonly owner?: string;
  readonly reasons: readonly string[];
}

test("the last of three, where two are asked for", async () => {
  await Scene.play(
    {
      members: 3,
      clients: [3, 2, 3],
      withoutStack: [2],
      rate: 40,
      assocMaxRetrans: 60,
      configuration: { coordinator: { minimumMembers: 2 } },
    },
    async (scene) => {
      const { cluster } = scene;
      await scene.confirmed();
      const last = await scene.ownerOf();
      const owned = [...(await cluster.settled())].filter(([, owner]) => owner === last.name);
      const dead = cluster.members.filter((member) => member !== last);
      for (const member of dead) await member.killNode();
      await until("the last one to say so", () => last.log().includes("too few members for a VIP"));
      assert.match(last.log(), /Bring the other members back, or lower coordinator.minimumMembers/);
      await scene.flowing(40);
      const { items } = await last.get<{ items: readonly Vip[] }>("/v1/vips");
      for (const { vip, owner, reasons } of items) {
        const was = owned.some(([one]) => one === vip);
        assert.equal(owner, was ? last.name : undefined, `${vip}: ${reasons.join("; ")}`);
        assert.match(reasons.join("; "), /1 of at least 2 members \(minimumMembers\) are present/);
      }
      const newcomer = await cluster.startClient(2, { rate: 40, size: 200, assocMaxRetrans: 60 });
      scene.clients.push(newcomer);
      await newcomer.established(1, 60_000);
      await scene.flowing(20);
      for (const member of dead) {
        member.host.plug();
        await bringBack(scene, member);
      }
      await cluster.settled();
      await until("it to say that enough are there", () => last.log().includes("enough members are present"));
      await scene.flowing(20);
      await scene.judge();
    },
  );
});

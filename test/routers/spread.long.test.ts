// A VIP that all members announce alike: FRR routers send to all of them at once, and choose anew when one leaves.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ROUTED_PROFILE, routesOf, sessionsUp, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { bringBack } from "../cluster/trouble.ts";

test("spread: routers use all members at once; a member that leaves or dies moves flows and ends none", async (t) => {
  await Scene.play(
    {
      profile: ROUTED_PROFILE,
      members: 3,
      clients: [3, 2, 1],
      associations: 8,
      rate: 10,
      router: { software: "frr", ecmp: true },
      service: { announce: { spread: true } },
      beforeClients: async ({ members }) => void (await sessionsUp(members)),
    },
    async (scene) => {
      const { cluster } = scene;
      const nextHops = (count: number) =>
        until(
          `${count} next hops for every VIP at every router`,
          () =>
            cluster.routers.every((router) =>
              cluster.vips.every((vip) => new Set(routesOf(router, vip)).size === count),
            ),
          60_000,
        );
      await nextHops(3);
      await scene.flowing(20);

      await t.test("every member forwards", async () => {
        const at = new Map(cluster.members.map(({ host }) => [host.mac("core"), host.name] as const));
        const senders = scene.atEndpoints.flatMap((capture) =>
          capture.packets().map((p) => at.get(p.sourceMac)),
        );
        for (const { name } of cluster.members)
          assert(senders.filter((sender) => sender === name).length > 50, `${name} forwards nothing`);
        for (const member of cluster.members) {
          const { items } = await member.get<{ items: { routes: { reason: string; med: number }[] }[] }>(
            "/v1/routers",
          );
          for (const { routes } of items)
            for (const { reason, med } of routes)
              assert.deepEqual([reason, med], ["it is spread over all members", 10]);
        }
      });

      await t.test(
        "a member leaves as planned: its flows are others', and not one packet is lost",
        async () => {
          const member = cluster.members[1];
          assert(member !== undefined);
          const fromMs = Date.now();
          assert.equal(await member.stop(), 0);
          await nextHops(2);
          await scene.flowing(20);
          await bringBack(scene, member);
          await nextHops(3);
          await scene.flowing(20);
          assert.deepEqual(scene.swallowed(fromMs, Date.now() - 500), []);
        },
      );

      await t.test("a member's node dies: routers choose among the others", async () => {
        const member = cluster.members[2];
        assert(member !== undefined);
        await member.killNode();
        await nextHops(2);
        await scene.flowing(20);
        member.host.plug();
        await bringBack(scene, member);
        await nextHops(3);
      });
      await scene.judge();
    },
  );
});

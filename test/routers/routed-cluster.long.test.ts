// Three members behind routers, nothing on a link: path routers between clients and members, one between endpoints and
// members. What BGP and BFD do must cost no association.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { type Host, type Member, ROUTED_PROFILE, routed, sessionsUp, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { bringBack } from "../cluster/trouble.ts";
import { speaksAgain } from "./speaking.ts";

interface RouterView {
  readonly name: string;
  readonly session: string;
  readonly bfd?: string;
  readonly flaps: number;
  readonly routes: readonly { readonly vip: string; readonly sent: boolean; readonly rank?: number }[];
}

const routersOf = async (member: Member) => (await member.get<{ items: RouterView[] }>("/v1/routers")).items;

test("routed networks: BGP and BFD lead to the owner, and around its death", async (t) => {
  await Scene.play({ profile: ROUTED_PROFILE, members: 3, clients: [3, 2, 1], rate: 40 }, async (scene) => {
    const { cluster } = scene;
    const primary = cluster.vips[0] as Address;
    const owners = async () =>
      new Map<string, Host>(
        [...(await cluster.settled())].map(([vip, name]) => [vip, cluster.memberOf(name).host]),
      );
    const settledRoutes = async () => routed(cluster.routers, owners);
    await scene.confirmed();

    await t.test(
      "every member has every session, and tells every router every VIP with its rank",
      async () => {
        await settledRoutes();
        // Routes go to owners; the others' sessions may come up later.
        await sessionsUp(cluster.members);
        const ranks = new Map<string, number[]>();
        for (const member of cluster.members)
          for (const router of await routersOf(member)) {
            assert.equal(router.session, "Established");
            assert.equal(router.bfd, "Up");
            assert.equal(router.flaps, 0);
            for (const { vip, rank, sent } of router.routes) {
              assert.equal(sent, true);
              const key = `${router.name} ${vip}`;
              ranks.set(key, [...(ranks.get(key) ?? []), rank as number]);
            }
          }
        assert.equal(ranks.size, cluster.routers.length * cluster.vips.length);
        for (const [key, list] of ranks) assert.deepEqual(list.sort(), [0, 1, 2], key);
      },
    );

    await t.test("the owner's node dies: routers go on with the first successor", async () => {
      const owner = await scene.ownerOf(primary);
      await owner.killNode();
      await settledRoutes();
      await scene.flowing(20);
      owner.host.plug();
      await bringBack(scene, owner);
      await settledRoutes();
    });

    await t.test("the owner's daemon dies: its speaker dies with it", async () => {
      const owner = await scene.ownerOf(primary);
      await owner.killDaemon();
      await settledRoutes();
      await scene.flowing(20);
      await bringBack(scene, owner);
      await settledRoutes();
    });

    await t.test("the owner's speaker alone dies: the others carry its VIPs until it is back", async () => {
      const owner = await scene.ownerOf(primary);
      // A router's table has a route before the member's next look at its speaker: what it has not seen up is
      // not lost.
      await speaksAgain(owner);
      const flapCount = () => owner.metric("holdfast_router_session_flaps");
      const before = await flapCount();
      const children = owner.host.run("cat", [`/proc/${owner.pid}/task/${owner.pid}/children`]);
      const pids = children
        .trim()
        .split(" ")
        .filter((pid) => owner.host.run("cat", [`/proc/${pid}/comm`]).trim() === "bird");
      assert.equal(pids.length, 1);
      process.kill(Number(pids[0]), "SIGKILL");
      await until("the member to say so", async () =>
        (await routersOf(owner)).every(({ session }) => session !== "Established"),
      );
      await scene.flowing(20);
      await until("sessions to be back", async () =>
        (await routersOf(owner)).every(({ session, bfd }) => session === "Established" && bfd === "Up"),
      );
      await settledRoutes();
      assert.equal(await flapCount(), before + cluster.routers.length);
    });

    await t.test("a drain and a graceful stop lose not one packet", async () => {
      const owner = await scene.ownerOf(primary);
      const fromMs = Date.now();
      assert.equal(await owner.stop(), 0);
      await settledRoutes();
      await scene.flowing(20);
      await bringBack(scene, owner);
      await settledRoutes();
      await scene.flowing(20);
      assert.deepEqual(scene.swallowed(fromMs, Date.now() - 500), []);
    });
    await scene.judge();
  });
});

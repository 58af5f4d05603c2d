// What may happen to routers, to speakers and to what lies between: each is said, is counted, and costs no association. A wrong
// password and a second speaker on the machine are in speaker-suite.test.ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type BgpRouter, type Host, type Member, ROUTED_PROFILE, routed, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { isUp, routerOf, routersOf, sample, says, speakerOf, speaksAgain } from "./speaking.ts";

const up = (router: string) => `holdfast_router_session_up{router="${router}"}`;
const bfdUp = (router: string) => `holdfast_router_bfd_up{router="${router}"}`;
const flaps = (router: string) => `holdfast_router_session_flaps{router="${router}"}`;
/** BGP's seconds are not the lab's tenths: a client with one path must outlive its router's restart. */
const OPTIONS = { profile: ROUTED_PROFILE, members: 3, clients: [3, 2, 1], rate: 20, assocMaxRetrans: 40 };
const RESTARTS = "holdfast_speaker_restarts_total";

test("routed networks: whatever fails between members and routers is said, and ends no association", async (t) => {
  await Scene.play(OPTIONS, async (scene) => {
    const { cluster } = scene;
    const owners = async () =>
      new Map<string, Host>(
        [...(await cluster.settled())].map(([vip, name]) => [vip, cluster.memberOf(name).host]),
      );
    const router = cluster.bgpRouters[0] as BgpRouter;
    const { name } = router.host;
    /** Everything is as at the beginning, and messages arrive. */
    const well = async () => {
      for (const member of cluster.members) await speaksAgain(member);
      await routed(cluster.routers, owners);
      await scene.flowing(20, 60_000);
    };
    const owner = () => scene.ownerOf();
    await scene.confirmed();
    await well();
    assert.deepEqual(await routersNamed(cluster.members[0] as Member), ["r1", "r2", "r3", "rc"]);

    await t.test("a router is restarted: every member says that it lost the session", async () => {
      const before = await Promise.all(cluster.members.map((member) => sample(member, flaps(name))));
      await router.kill();
      for (const member of cluster.members) {
        await says(member, "session with a router lost");
        assert.equal(await sample(member, up(name)), 0);
      }
      await router.start();
      await well();
      for (const [index, member] of cluster.members.entries()) {
        assert.equal(await sample(member, flaps(name)), (before[index] as number) + 1);
        assert.equal(await sample(member, up(name)), 1);
      }
    });

    await t.test(
      "a router that is new prefers who has lasted, and the owner after the hold-down",
      async () => {
        const member = await owner();
        await says(member, "the session has lasted");
        assert.deepEqual(
          (await routerOf(member, name)).routes.filter(({ reason }) => /was lost/.test(reason)),
          [],
        );
      },
    );

    await t.test("a speaker is killed: it is said, counted, and started again", async () => {
      const member = await owner();
      const [before, from] = [await sample(member, RESTARTS), member.log().length];
      process.kill(speakerOf(member), "SIGKILL");
      await says(member, "the speaker ended", from);
      await scene.flowing(20);
      await well();
      assert.equal(await sample(member, RESTARTS), before + 1);
    });

    await t.test("a speaker hangs (SIGSTOP): it is said, and it is ended and started again", async () => {
      const member = await owner();
      const [before, from, pid] = [await sample(member, RESTARTS), member.log().length, speakerOf(member)];
      process.kill(pid, "SIGSTOP");
      await says(member, "the speaker is ended", from);
      await scene.flowing(20);
      await well();
      assert.equal(await sample(member, RESTARTS), before + 1);
      assert.notEqual(speakerOf(member), pid);
    });

    await t.test(
      "a daemon is stopped (SIGSTOP): routers leave it, and it says why when it goes on",
      async () => {
        const member = await owner();
        const [before, from] = [await sample(member, RESTARTS), member.log().length];
        const own = new Set<string>(member.host.addresses(router.network));
        member.signal("SIGSTOP");
        await until(
          "the router to forget the stopped member",
          () =>
            !cluster.vips.some((vip) =>
              router.table(vip).some((line) => own.has(line.split(" ")[0] as string)),
            ),
          60_000,
        );
        await scene.flowing(20);
        member.signal("SIGCONT");
        await says(member, "this process stood still", from);
        await well();
        assert.equal(await sample(member, RESTARTS), before + 1);
      },
    );

    await t.test("a link is down: the session is lost, the other routers' stay", async () => {
      const member = await owner();
      const from = member.log().length;
      member.host.cut(router.network, "carrier");
      await says(member, "session with a router lost", from);
      await scene.flowing(20);
      assert.equal(await sample(member, up(name)), 0);
      assert.equal(await sample(member, up("rc")), 1);
      member.host.heal(router.network);
      await well();
    });

    await t.test("BFD passes one way only: it is said that nobody watches the session", async () => {
      const member = await owner();
      const from = member.log().length;
      const source = member.host.addresses(router.network)[0];
      router.host.run(
        "nft",
        ["-f", "-"],
        `table inet oneway {\n chain input {\n type filter hook input priority 0\n ip saddr ${source} udp dport 3784 drop\n }\n}\n`,
      );
      await says(member, "session with a router lost", from);
      await says(member, "nobody watches it", from);
      const view = await routerOf(member, name);
      assert.equal(view.session, "Established");
      assert.notEqual(view.bfd, "Up");
      assert.equal(await sample(member, bfdUp(name)), 0);
      assert.match(view.routes[0]?.reason ?? "", /others are preferred until it has lasted/);
      await scene.flowing(20);
      router.host.run("nft", ["delete", "table", "inet", "oneway"]);
      await well();
    });

    assert(isUp(await routerOf(await owner(), name)));
    await scene.judge();
  });
});

const routersNamed = async (member: Member) => (await routersOf(member)).map(({ name }) => name).sort();

// Members come and go under associations: from three to five and back, and a machine that died for good is
// replaced by one under a new name. Nobody else restarts, and nothing is lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Member, until } from "@holdfast/testkit";
import { Scene } from "../cluster/scene.ts";
import { addressesOf, allAgree, isListed, isRemoved, listOf, namesOf, SETTLE_S } from "./list.ts";

interface Problem {
  readonly code: string;
  readonly title: string;
}

/** Asks until the list has settled; any other refusal is the answer. */
async function change(
  by: Member,
  method: "POST" | "DELETE",
  path: string,
  body?: object,
): Promise<{ readonly status: number; readonly body: Problem }> {
  return until(
    `${method} ${path}`,
    async () => {
      const { status, body: text } = await by.fetch(method, path, body);
      const answer = JSON.parse(text) as Problem;
      return answer.code !== "MEMBERS_SETTLING" && { status, body: answer };
    },
    30_000,
    200,
  );
}

async function add(scene: Scene, by: Member, spare: Member): Promise<void> {
  const { status, body } = await change(by, "POST", "/v1/members", {
    name: spare.name,
    number: spare.number,
    addresses: addressesOf(spare),
  });
  assert.equal(status, 200, JSON.stringify(body));
  isListed(scene, spare);
  await spare.start();
  await allAgree(scene);
}

async function remove(scene: Scene, by: Member, member: Member, query = ""): Promise<void> {
  const { status, body } = await change(by, "DELETE", `/v1/members/${member.name}${query}`);
  assert.equal(status, 200, JSON.stringify(body));
  isRemoved(scene, member);
  await allAgree(scene);
}

test("three members become five and three again, and a dead one is replaced, under associations", async (t) => {
  const options = {
    members: 3,
    spares: 3,
    clients: [3, 3],
    vipNetworks: true,
    rate: 40,
    configuration: { timers: { initS: SETTLE_S } },
  };
  await Scene.play(options, async (scene) => {
    const { cluster } = scene;
    await scene.confirmed();
    const [m1, m2, m3] = cluster.members as [Member, Member, Member];
    const [m4, m5, m6] = cluster.spares as [Member, Member, Member];
    const pids = new Map(cluster.members.map((member) => [member.name, member.pid]));

    await t.test("a member whom nobody has added is refused, and owns nothing", async () => {
      m4.launch();
      await until("it to be told", () => m4.log().includes("not-configured"), 30_000);
      await until(
        "it to say that it is not ready",
        async () => (await m4.fetch("GET", "/v1/health/ready").catch(() => undefined))?.status === 503,
        30_000,
      );
      assert.deepEqual(namesOf(await listOf(m1)), ["m1", "m2", "m3"]);
      await m4.killDaemon();
    });
    await t.test("two are added one after the other, and take part", async () => {
      await add(scene, m1, m4);
      await scene.flowing(10);
      await add(scene, m2, m5);
      await scene.flowing(10);
      assert.equal((await listOf(m5)).version, 2);
    });
    await t.test("what contradicts the list is refused with a way out", async () => {
      const taken = await change(m3, "POST", "/v1/members", {
        name: "m9",
        number: 1,
        addresses: ["10.8.0.9"],
      });
      assert.deepEqual([taken.status, taken.body.code], [409, "MEMBER_NUMBER_TAKEN"]);
      const self = await change(m3, "DELETE", "/v1/members/m3");
      assert.deepEqual([self.status, self.body.code], [409, "MEMBER_IS_SELF"]);
    });
    await t.test("two of the first ones leave: their VIPs move without a packet missing", async () => {
      const fromMs = Date.now();
      await remove(scene, m4, m1);
      await until("m1 to know", () => m1.log().includes("was removed from the cluster"), 10_000);
      await scene.flowing(10);
      await remove(scene, m4, m2);
      await scene.flowing(10);
      assert.deepEqual(scene.swallowed(fromMs, Date.now() - 500), []);
      assert.equal((await m1.fetch("GET", "/v1/health/ready")).status, 503);
    });
    await t.test("their numbers rest, and say for how long", async () => {
      const { resting } = await listOf(m3);
      assert.deepEqual(
        resting.map(({ name, number }) => [name, number]),
        [
          ["m1", 0],
          ["m2", 1],
        ],
      );
      const early = await change(m3, "POST", "/v1/members", {
        name: "m9",
        number: 0,
        addresses: ["10.8.0.9"],
      });
      assert.deepEqual([early.status, early.body.code], [409, "MEMBER_NUMBER_RESTS"]);
      assert.match(early.body.title, /for [1-9]\d* s at least/);
    });
    await t.test("a machine that died for good is replaced by another under another name", async () => {
      await m5.killNode();
      await scene.flowing(10);
      const unsaid = await change(m3, "DELETE", "/v1/members/m5");
      assert.deepEqual([unsaid.status, unsaid.body.code], [409, "MEMBER_NOT_THERE"]);
      await remove(scene, m3, m5, "?gone=true");
      await add(scene, m3, m6);
      await scene.flowing(10);
      assert.deepEqual(namesOf(await listOf(m6)), ["m3", "m4", "m6"]);
    });
    await t.test("nobody restarted", () => {
      for (const member of [m3, m4]) {
        assert.ok(member.running);
        if (pids.has(member.name)) assert.equal(member.pid, pids.get(member.name));
      }
    });
    await scene.judge();
  });
});

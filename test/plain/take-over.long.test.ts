// Real stacks: connections and exchanges that are older than two seconds outlive whatever happens to a
// member.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { PlainScene } from "./scene.ts";

const TCP = 300;
const UDP = 300;

test("TCP and UDP: the owner dies, drains, stops, and its daemon is killed; nothing is reset or lost", async (t) => {
  await PlainScene.play({ tcpCount: TCP, udpCount: UDP, endpoints: 2 }, async (scene) => {
    const { cluster, client } = scene;
    const holds = async (what: string) => {
      const report = await client.flowing(2 * (TCP + UDP));
      t.diagnostic(`${what}: ${JSON.stringify(report)}`);
      const { resets, closed, wrong, connected } = report;
      assert.deepEqual(
        { resets, closed, wrong, connected },
        { resets: 0, closed: 0, wrong: 0, connected: TCP },
      );
      return report;
    };
    await scene.shared(TCP + UDP);
    await holds("before");
    await t.test("the owner's node dies", async () => {
      const owner = await scene.owner();
      await owner.killNode();
      await until("another owner", async () => (await scene.owner()).name !== owner.name);
      await holds("node dead");
      owner.host.plug();
      await owner.start();
      await cluster.settled();
      await scene.shared(TCP + UDP);
    });
    await t.test("a member drains, and comes back: not a datagram is lost", async () => {
      const { lost } = await holds("before the drain");
      const owner = await scene.owner();
      await owner.fetch("POST", `/v1/members/${owner.name}/drain`);
      await until("another owner", async () => (await scene.owner()).name !== owner.name);
      assert.equal((await holds("drained")).lost, lost);
      await owner.fetch("POST", `/v1/members/${owner.name}/undrain`);
    });
    await t.test("every member is restarted, one after the other", async () => {
      for (const member of cluster.members) {
        assert.equal(await member.stop(), 0);
        await cluster.settled();
        await member.start();
        await cluster.settled();
        await scene.shared(TCP + UDP);
      }
      await holds("restarted");
    });
    await t.test("the owner's daemon is killed, the data plane lives; it comes back", async () => {
      const owner = await scene.owner();
      await owner.killDaemon();
      await holds("daemon dead");
      await owner.start();
      await cluster.settled();
      await scene.shared(TCP + UDP);
      await holds("daemon back");
    });
  });
});

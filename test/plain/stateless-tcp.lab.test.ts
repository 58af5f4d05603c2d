// Real stacks: TCP whose connections the fast path begins by itself. Those that are old enough outlive their
// member and its daemon as any others do, and quick ones leave nothing behind.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member } from "@holdfast/testkit";
import { until } from "@holdfast/testkit";
import { PlainScene } from "./scene.ts";

const TCP = 40;
const COUNTS = { tcp: TCP, udp: 1 };

test("stateless TCP: connections come through a take-over and a restart of the daemon; offers are used", async (t) => {
  const options = {
    ...{ members: 3, endpoints: 2, tcpCount: TCP, udpCount: 1 },
    tcp: { stateless: true },
  };
  await PlainScene.play(options, async (scene) => {
    const { client } = scene;
    const say = async (what: string) => {
      const { ports: _, ...report } = await client.allAnswered(COUNTS);
      t.diagnostic(`${what}: ${JSON.stringify(report)}`);
      return report;
    };
    const sizeOf = (member: Member, table: string) =>
      member.metric(`holdfast_slow_path_size{table="${table}"}`);
    // They are told to the others when they are a second old.
    await scene.shared(TCP + 1);
    await say("before");
    const owner = await scene.owner();
    const offers = await until("offers", async () => (await sizeOf(owner, "tcp-offers")) ?? 0);
    t.diagnostic(`${offers} offers wait at ${owner.name}`);
    await owner.killDaemon();
    await say("daemon dead");
    await owner.start();
    await scene.shared(TCP + 1, 60_000);
    await say("daemon back");
    const then = await scene.owner();
    await then.killNode();
    await until("another owner", async () => (await scene.owner()).name !== then.name);
    const { connected, resets, closed, wrong } = await say("node dead");
    assert.deepEqual(
      { connected, resets, closed, wrong },
      { connected: TCP, resets: 0, closed: 0, wrong: 0 },
    );
  });
});

// Flows of the kernel's own stacks in other layouts, and through what happens to a network or an endpoint.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, pause, until, withLogs } from "@holdfast/testkit";
import { type EchoReport, PlainScene } from "./scene.ts";
import { createEchoServices, SteadyClient, startEcho } from "./steady.ts";

const COUNT = 50;
const COUNTS = { tcp: COUNT, udp: COUNT };

function assertWhole({ resets, closed, wrong }: EchoReport): void {
  assert.deepEqual({ resets, closed, wrong }, { resets: 0, closed: 0, wrong: 0 });
}

test("IPv6: the owner's node dies", async () => {
  const options = { tcpCount: COUNT, udpCount: COUNT, vips: ["2001:db8:a::1"] } as const;
  await PlainScene.play(options, async (scene) => {
    await scene.shared(2 * COUNT);
    const owner = await scene.owner();
    await owner.killNode();
    await until("another owner", async () => (await scene.owner()).name !== owner.name);
    assertWhole(await scene.client.allAnswered(COUNTS));
  });
});

test("the owner is cut off from the others, and comes back", async () => {
  await PlainScene.play({ tcpCount: COUNT, udpCount: COUNT }, async (scene) => {
    const { cluster, client } = scene;
    await scene.shared(2 * COUNT);
    const owner = await scene.owner();
    const others = cluster.members.filter((member) => member !== owner);
    cluster.partition([[owner], others]);
    await until("the others to have another owner", async () => {
      const owners = await Promise.all(others.map((member) => cluster.owners(member)));
      const names = new Set(owners.map((each) => each.get(cluster.vips[0] as Address)));
      return names.size === 1 && !names.has(owner.name) && !names.has(undefined);
    });
    assertWhole(await client.allAnswered(COUNTS));
    cluster.mend();
    await cluster.settled(60_000);
    assertWhole(await client.allAnswered(COUNTS));
    await scene.shared(2 * COUNT);
  });
});

test("an endpoint starts again: its connections are reset by itself, the other's go on, and its clients come back", async () => {
  const cluster = new Cluster({ clients: [1, 1], endpoints: 2, vips: ["203.0.113.1"], withService: false });
  try {
    const [first, second] = cluster.endpoints;
    const [one, two] = cluster.clients;
    assert.ok(first && second && one && two);
    const victim = await startEcho(first);
    await startEcho(second);
    await cluster.start();
    await createEchoServices(cluster, 8_080, ["tcp"]);
    const target = { address: "203.0.113.1", port: 8_080, protocol: "tcp" } as const;
    const client = await SteadyClient.start(one, target, { count: 20, intervalMs: 50 });
    victim.kill("SIGKILL");
    await until("its kernel to reset them", async () => (await client.report()).closed > 0);
    const { closed } = await client.report();
    assert.ok(closed > 0 && closed < 20, `${closed} of 20 connections were the endpoint's`);
    await startEcho(first);
    await cluster.endpointsUp();
    const again = await SteadyClient.start(two, target, { count: 20, intervalMs: 50 });
    await pause(1_000);
    const [old, fresh] = [await client.report(), await again.report()];
    assert.equal(old.closed, closed, "the other endpoint's connections go on");
    assert.equal(fresh.closed + fresh.wrong + old.wrong, 0);
    assert.ok(fresh.received >= 20);
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

test("two VIPs with owners of their own: one of the owners dies, the other's flows hear nothing of it", async () => {
  const vips: readonly Address[] = ["203.0.113.1", "198.51.100.1"];
  const cluster = new Cluster({ members: 3, clients: [2, 2], vips, withService: false });
  try {
    for (const host of cluster.endpoints) await startEcho(host);
    await cluster.start();
    await createEchoServices(cluster, 8_080, ["tcp"]);
    const owners = await cluster.settled();
    const [near, far] = vips as [Address, Address];
    assert.notEqual(owners.get(near), owners.get(far));
    const clients = await Promise.all(
      vips.map((address, index) => {
        const host = cluster.clients[index];
        assert.ok(host);
        const target = { address, port: 8_080, protocol: "tcp" as const };
        return SteadyClient.start(host, target, { count: COUNT, intervalMs: 100 });
      }),
    );
    await until("all members to know all", async () => {
      const held = await Promise.all(cluster.members.map((member) => member.metric("holdfast_sessions")));
      return held.every((each) => each >= 2 * COUNT);
    });
    const owner = cluster.memberOf(owners.get(near) as string);
    await owner.killNode();
    await until("a successor", async () => (await cluster.settled()).get(near) !== owner.name);
    assert.equal((await cluster.settled()).get(far), owners.get(far));
    const before = await Promise.all(clients.map((client) => client.report("mark")));
    await until("all to be answered", async () => {
      const now = await Promise.all(clients.map((client) => client.report()));
      return now.every(({ received }, index) => received > (before[index]?.received ?? 0) + 3 * COUNT);
    });
    for (const client of clients) {
      const { closed, resets, wrong, sent, received } = await client.settle();
      assert.deepEqual(
        { closed, resets, wrong, lost: sent - received },
        { closed: 0, resets: 0, wrong: 0, lost: 0 },
      );
    }
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

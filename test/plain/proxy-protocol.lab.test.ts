// Real stacks: a server that expects the PROXY protocol's header learns who each of its clients is, and its
// connections outlive the member that began them, and its daemon.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Address } from "@holdfast/model";
import { until } from "@holdfast/testkit";
import { PlainScene, PORT, VIP, VIP6 } from "./scene.ts";

const TCP = 60;

for (const [family, vips] of [
  ["IPv4", [VIP]],
  ["IPv6 and IPv4", [VIP6, VIP]],
] as const)
  test(`PROXY protocol over ${family}: endpoints learn every client, and lose no connection`, (t) =>
    play(t, vips));

async function play(t: TestContext, vips: readonly Address[]): Promise<void> {
  const options = {
    ...{ members: 2, endpoints: 2, tcpCount: TCP, udpCount: vips.length, vips },
    // A check of kind tcp would connect without a header.
    tcp: { proxyProtocol: true, healthCheck: { kind: "ping" } },
  };
  await PlainScene.play(options, async (scene) => {
    const { cluster, client, told } = scene;
    const holds = async (what: string) => {
      const report = await client.flowing(2 * TCP, 30_000, 1);
      t.diagnostic(`${what}: ${JSON.stringify({ ...report, ports: report.ports.length })}`);
      const { resets, closed, wrong, connected } = report;
      assert.deepEqual(
        { resets, closed, wrong, connected },
        { resets: 0, closed: 0, wrong: 0, connected: TCP },
      );
      return report;
    };
    const { ports } = await holds("before");
    const addresses = cluster.clients[0]?.addresses("path-a") ?? [];
    const ownOf = (vip: string) => addresses.find((own) => own.includes(":") === vip.includes(":"));
    const named = ports.map(({ port, vip }) => `client ${ownOf(vip)} ${port} to ${vip} ${PORT}`);
    assert.deepEqual([...told].sort(), [...named, "ready", "ready"].sort());
    await scene.shared(TCP);
    const owner = await scene.owner();
    await t.test("the owner's node dies", async () => {
      await owner.killNode();
      await until("another owner", async () => (await scene.owner()).name !== owner.name);
      await holds("node dead");
    });
    await t.test("the new owner's daemon is killed, and comes back", async () => {
      const next = await scene.owner();
      await next.killDaemon();
      await holds("daemon dead");
      await next.start();
      await scene.shared(TCP);
      await holds("daemon back");
    });
    assert.equal(told.length, TCP + 2, "no server was told twice");
  });
}

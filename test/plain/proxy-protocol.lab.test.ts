// Real stacks: a server that expects the PROXY protocol's header learns who each of its clients is, and its
// connections outlive the member that began them, and its daemon.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { PlainScene, PORT, VIP } from "./scene.ts";

const TCP = 60;

test("PROXY protocol: endpoints learn every client's address and port, and lose no connection", async (t) => {
  const options = {
    ...{ members: 2, endpoints: 2, tcpCount: TCP, udpCount: 1 },
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
    const address = cluster.clients[0]?.addresses("path-a")[0];
    const named = ports.map((port) => `client ${address}:${port} to ${VIP}:${PORT}`);
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
});

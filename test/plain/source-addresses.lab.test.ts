// Real stacks: more connections than a member has NAT ports from its VIP. The rest come from the service's
// further address, which whoever has the VIP answers for, before and after a take-over.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Address } from "@holdfast/model";
import { until } from "@holdfast/testkit";
import { PlainScene, VIP, VIP6 } from "./scene.ts";

const FURTHER = "203.0.113.77";
const FURTHER6 = "2001:db8:a::77";
/** NAT ports of a member toward an endpoint, with so many numbers. */
const NUMBER_COUNT = 64;
const PORT_COUNT = (65_536 - 1_024) / NUMBER_COUNT;
/** Of each family, whose NAT ports are its own. */
const COUNT = PORT_COUNT + 40;

for (const [family, vips, further] of [
  ["IPv4", [VIP], [FURTHER]],
  ["IPv6 and IPv4", [VIP6, VIP], [FURTHER, FURTHER6]],
] as const)
  test(`sourceAddresses of ${family}: connections beyond the VIP's NAT ports, through a take-over, too`, (t) =>
    play(t, vips, further));

async function play(t: TestContext, vips: readonly Address[], further: readonly Address[]): Promise<void> {
  const tcpCount = vips.length * COUNT;
  const options = {
    ...{ members: 2, endpoints: 1, tcpCount, udpCount: vips.length, pauseMs: 2_000, vips },
    configuration: { cluster: { memberNumberCount: NUMBER_COUNT } },
    tcp: { sourceAddresses: further, healthCheck: { kind: "ping" } },
    prepare: ({ endpoints }: PlainScene["cluster"]) => {
      for (const host of endpoints) for (const address of further) host.onLink(address, "core");
    },
  };
  await PlainScene.play(options, async (scene) => {
    const { cluster, client } = scene;
    const [endpoint] = cluster.endpoints;
    for (const address of further) {
      const count = Number(endpoint?.run("sh", ["-c", `ss -Htn dst '[${address}]' | wc -l`]));
      assert.ok(count >= COUNT - PORT_COUNT, `${count} come from ${address}`);
    }
    await scene.shared(tcpCount);
    const owner = await scene.owner();
    await owner.killNode();
    await until("another owner", async () => (await scene.owner()).name !== owner.name);
    // Each connection twice.
    const report = await client.flowing(2 * tcpCount, 60_000, 1);
    t.diagnostic(JSON.stringify({ ...report, ports: undefined }));
    const { connected, resets, closed, wrong } = report;
    assert.deepEqual(
      { connected, resets, closed, wrong },
      { connected: tcpCount, resets: 0, closed: 0, wrong: 0 },
    );
  });
}

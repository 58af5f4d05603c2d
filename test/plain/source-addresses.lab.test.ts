// Real stacks: more connections than a member has NAT ports from its VIP. The rest come from the service's
// further address, which whoever has the VIP answers for, before and after a take-over.
import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "@holdfast/testkit";
import { PlainScene } from "./scene.ts";

const FURTHER = "203.0.113.77";
/** NAT ports of a member toward an endpoint, with so many numbers. */
const NUMBER_COUNT = 64;
const PORT_COUNT = (65_536 - 1_024) / NUMBER_COUNT;
const TCP = PORT_COUNT + 40;

test("sourceAddresses: connections beyond the VIP's NAT ports, through a take-over, too", async (t) => {
  const options = {
    ...{ members: 2, endpoints: 1, tcpCount: TCP, udpCount: 1, pauseMs: 2_000 },
    configuration: { cluster: { memberNumberCount: NUMBER_COUNT } },
    tcp: { sourceAddresses: [FURTHER], healthCheck: { kind: "ping" } },
    prepare: ({ endpoints }: PlainScene["cluster"]) => {
      for (const host of endpoints) host.onLink(FURTHER, "core");
    },
  };
  await PlainScene.play(options, async (scene) => {
    const { cluster, client } = scene;
    const [endpoint] = cluster.endpoints;
    const fromThere = () => Number(endpoint?.run("sh", ["-c", `ss -Htn dst ${FURTHER} | wc -l`]));
    assert.ok(fromThere() >= TCP - PORT_COUNT, `${fromThere()} come from the further address`);
    await scene.shared(TCP);
    const owner = await scene.owner();
    await owner.killNode();
    await until("another owner", async () => (await scene.owner()).name !== owner.name);
    // Each connection twice.
    const report = await client.flowing(2 * TCP, 60_000, 1);
    t.diagnostic(JSON.stringify({ ...report, ports: undefined }));
    const { connected, resets, closed, wrong } = report;
    assert.deepEqual(
      { connected, resets, closed, wrong },
      { connected: TCP, resets: 0, closed: 0, wrong: 0 },
    );
  });
});

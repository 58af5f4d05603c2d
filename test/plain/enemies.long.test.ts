// As fast as a core makes them: SYNs of ever new clients, and forged resets into an established connection.
// Beside each flood numbered records flow to and fro. What keeps them from it must be the flood and not the
// missing processor: beside as many packets to a port that nobody has, which cost a member least, the same
// records are counted; when even those suffer the machine is starved, and the test says so.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, until, withLogs } from "@holdfast/testkit";
import { ACK, RST, SYN, segment } from "../conformance/plain/segments.ts";
import { Enemy } from "./enemy.ts";
import { createEchoServices, SteadyClient, startEcho } from "./steady.ts";

const VIP: Address = "203.0.113.1";
const PORT = 8_080;
const CLOSED_PORT = 9_999;
const SLICE_MS = 3_000;
const ROUND_COUNT = 3;
/** Connections, each with a record every 20 ms. */
const COUNT = 10;
const INTERVAL_MS = 20;
/** Of the records that go out unhindered. */
const KEPT = 0.95;
/** Beyond every window. */
const FAR = 0x4000_0000;

interface Scene {
  readonly cluster: Cluster;
  readonly client: SteadyClient;
  readonly enemy: Enemy;
  /** Where a victim's segments come from. */
  readonly victim: { readonly address: Address; readonly port: number };
}

test("floods of SYNs and of forged resets: established connections keep their rate", async (t) => {
  const cluster = new Cluster({ clients: [1, 1], vips: [VIP], withService: false });
  try {
    for (const host of cluster.endpoints) await startEcho(host);
    await cluster.start();
    await createEchoServices(cluster, PORT, ["tcp"]);
    const [host, flooder] = cluster.clients;
    const [member] = cluster.members;
    assert.ok(host && flooder && member);
    const target = { address: VIP, port: PORT, protocol: "tcp" as const };
    const client = await SteadyClient.start(host, target, { count: COUNT, intervalMs: INTERVAL_MS });
    const flows = await until("the sessions", async () => {
      const { items } = await member.get<{ items: { clientPort: number; clients: string[] }[] }>(
        "/v1/sessions?limit=100&protocol=tcp",
      );
      return items.length >= COUNT && items;
    });
    const [first] = flows;
    assert.ok(first);
    const enemy = new Enemy(flooder, "path-a", member.host.mac("path-a"));
    const victim = { address: host.addresses("path-a")[0] as Address, port: first.clientPort };
    await floods(t, { cluster, client, enemy, victim });
    await enemy.close();
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

async function floods(t: TestContext, scene: Scene): Promise<void> {
  const { cluster, client, victim } = scene;
  const [member] = cluster.members;
  const strangers = { address: "100.64.0.1", port: 1_024 } as const;
  const kinds = [
    ["SYNs", segment(strangers, at(PORT), { flags: SYN, sequence: 7 }), 60_000, "syn-rate"],
    ["resets", segment(victim, at(PORT), { flags: RST, sequence: FAR }), 1, "tcp-window"],
    ["resets with ACK", segment(victim, at(PORT), { flags: RST | ACK, sequence: FAR }), 1, "tcp-window"],
  ] as const;
  for (const [name, packet, flowCount, reason] of kinds)
    await t.test(name, async (t) => {
      const unserved = segment(strangers, at(CLOSED_PORT), { flags: SYN, sequence: 7 });
      const dropped = (await member?.drops(reason)) ?? 0;
      let sent = 0;
      let [best, bestBeside] = [0, 0];
      // What disturbs a slice makes it slower and never faster.
      for (let round = 0; round < ROUND_COUNT && best < KEPT; round++) {
        const beside = await kept(scene, unserved, flowCount);
        const under = await kept(scene, packet, flowCount);
        sent += under.sent;
        [best, bestBeside] = [Math.max(best, under.share), Math.max(bestBeside, beside.share)];
        t.diagnostic(
          `${Math.round(under.perSecond)} a second: ${percent(under.share)} of the records came back in time; ` +
            `beside ${Math.round(beside.perSecond)} to a port that nobody has ${percent(beside.share)}`,
        );
      }
      const drops = ((await member?.drops(reason)) ?? 0) - dropped;
      const { resets, closed, wrong } = await client.report();
      assert.deepEqual({ resets, closed, wrong }, { resets: 0, closed: 0, wrong: 0 });
      if (reason === "tcp-window") assert.ok(drops > 0.9 * sent, `${drops} of ${sent} dropped`);
      if (best >= KEPT) return;
      if (bestBeside < KEPT) {
        t.diagnostic("starved: packets to a port that nobody has hold the records up as well");
        return;
      }
      assert.fail(`${percent(best)} of the records came back`);
    });
}

const at = (port: number) => ({ address: VIP, port });
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** The share of the records due in a slice that came back within it, beside a flood. */
async function kept({ client, enemy }: Scene, packet: Uint8Array, flowCount: number) {
  const before = await client.report();
  const startedAt = performance.now();
  const { sent, durationMs } = await enemy.send({ packet, flowCount, durationMs: SLICE_MS });
  const after = await client.report();
  const due = (COUNT * (performance.now() - startedAt)) / INTERVAL_MS;
  return { share: (after.received - before.received) / due, perSecond: (sent / durationMs) * 1_000, sent };
}

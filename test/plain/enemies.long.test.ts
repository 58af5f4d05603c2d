// As fast as a core makes them: SYNs of ever new clients, and forged resets into an established connection.
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, until, withLogs } from "@holdfast/testkit";
import { ACK, RST, SYN, segment } from "../conformance/plain/segments.ts";
import { Enemy } from "./enemy.ts";
import { keepRate } from "./flood.ts";
import { createEchoServices, SteadyClient, startEcho } from "./steady.ts";

const VIP: Address = "203.0.113.1";
const PORT = 8_080;
const CLOSED_PORT = 9_999;
/** Connections, each with a record every 20 ms. */
const COUNT = 10;
const INTERVAL_MS = 20;
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
  const { cluster, client, enemy, victim } = scene;
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
      const flood = { packet, beside: unserved, flowCount, intervalMs: INTERVAL_MS };
      const sent = await keepRate(t, client, enemy, flood);
      const drops = ((await member?.drops(reason)) ?? 0) - dropped;
      if (reason === "tcp-window") assert.ok(drops > 0.9 * sent, `${drops} of ${sent} dropped`);
    });
}

const at = (port: number) => ({ address: VIP, port });

// SYNs as fast as a core makes them, to a service whose connections the fast path begins from offers: of ever
// new addresses, and of ever new ports of one that the member knows, which take offers. Nobody acknowledges
// what the endpoint answers.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { type Address, MEMBER_NUMBER_COUNT_DEFAULT } from "@holdfast/model";
import { Cluster, type Host, type Member, until, withLogs } from "@holdfast/testkit";
import { SYN, segment } from "../conformance/plain/segments.ts";
import { Enemy } from "./enemy.ts";
import { keepRate } from "./flood.ts";
import { createEchoServices, SteadyClient, startEcho } from "./steady.ts";

const VIP: Address = "203.0.113.1";
const PORT = 8_080;
const CLOSED_PORT = 9_999;
/** Connections, each with a record every 20 ms. */
const COUNT = 10;
const INTERVAL_MS = 20;
const FLOW_COUNT = 60_000;
const NEWCOMER_COUNT = 5;
const SLICE_MS = 1_000;
/** A member's NAT ports toward one endpoint; a quarter of them is no offer's. */
const NAT_PORT_COUNT = 64_512 / MEMBER_NUMBER_COUNT_DEFAULT;
const OFFERED_COUNT_MAX = 0.75 * NAT_PORT_COUNT;
/** As many wait at least when nobody wants any. */
const WAITING_COUNT = 96;

/** NAT ports of connections that are open, and of newcomers that have closed theirs; percents are whole. */
const LEFT_COUNT_MAX = COUNT + 20 * NEWCOMER_COUNT + 0.005 * NAT_PORT_COUNT;
const SYNS_PUNTED = 'holdfast_fast_path_punts_total{reason="syn"}';

interface Scene {
  readonly member: Member;
  readonly client: SteadyClient;
  readonly enemy: Enemy;
  readonly newcomer: Host;
}

test("a flood of SYNs to a stateless service: connections keep their rate, newcomers get in, offers come back", async (t) => {
  const cluster = new Cluster({
    ...{ clients: [1, 1, 1], vips: [VIP], withService: false },
    configuration: { timers: { initS: 5, handshakeS: 5 } },
  });
  try {
    for (const host of cluster.endpoints) await startEcho(host);
    await cluster.start();
    await createEchoServices(cluster, PORT, ["tcp"], { stateless: true });
    const [host, flooder, newcomer] = cluster.clients;
    const [member] = cluster.members;
    assert.ok(host && flooder && newcomer && member);
    const target = { address: VIP, port: PORT, protocol: "tcp" as const };
    const client = await SteadyClient.start(host, target, { count: COUNT, intervalMs: INTERVAL_MS });
    await until("the sessions", async () => (await member.metric("holdfast_sessions")) >= COUNT);
    // Both are known from then on, and their SYNs take offers.
    await Promise.all([connect(flooder), connect(newcomer)]);
    // Its stack would reset what it has not begun.
    flooder.run("nft", ["add table ip own; add chain ip own out { type filter hook output priority 0; };"]);
    flooder.run("nft", ["add rule ip own out tcp flags & rst == rst drop"]);
    const enemy = new Enemy(flooder, "path-a", member.host.mac("path-a"));
    const known = flooder.addresses("path-a")[0] as Address;
    const scene = { member, client, enemy, newcomer };
    await t.test("of ever new addresses", (t) => flood(t, scene, "100.64.0.1"));
    await t.test("of a client's that is known", (t) => flood(t, scene, known, 1));
    await enemy.close();
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

async function flood(t: TestContext, scene: Scene, source: Address, sourceCount?: number): Promise<void> {
  const { member, client, enemy, newcomer } = scene;
  const from = { address: source, port: 1_024 };
  const syn = (port: number) => segment(from, { address: VIP, port }, { flags: SYN, sequence: 7 });
  const order = {
    ...{ packet: syn(PORT), flowCount: FLOW_COUNT },
    ...(sourceCount !== undefined && { sourceCount }),
  };
  let offeredMost = 0;
  const during = async () => {
    const { offered } = await sizes(member);
    offeredMost = Math.max(offeredMost, offered);
  };
  await keepRate(t, client, enemy, { ...order, beside: syn(CLOSED_PORT), intervalMs: INTERVAL_MS, during });
  let isIn = false;
  const startedMs = performance.now();
  const newcomers = Promise.all(Array.from({ length: NEWCOMER_COUNT }, () => connect(newcomer))).finally(
    () => {
      isIn = true;
    },
  );
  // Whoever takes offers by the thousand leaves others few of them: those get in when that is over.
  const isPatient = sourceCount === undefined;
  do {
    await enemy.send({ ...order, durationMs: SLICE_MS });
    await during();
  } while (isPatient && !isIn);
  t.diagnostic(`at most ${offeredMost} connections from offers; ${JSON.stringify(await sizes(member))}`);
  assert.ok(offeredMost <= OFFERED_COUNT_MAX, `${offeredMost} connections from offers`);
  if (isPatient) assert.ok(offeredMost <= NEWCOMER_COUNT, `${offeredMost} offers to made-up addresses`);
  await newcomers;
  t.diagnostic(`${NEWCOMER_COUNT} newcomers in after ${Math.round(performance.now() - startedMs)} ms`);
  await until(
    "all that was begun to be gone",
    async () => {
      const { offers, offered, embryos, portsPercent } = await sizes(member);
      const inUse = (portsPercent / 100) * NAT_PORT_COUNT - offers;
      return offered + embryos === 0 && offers >= WAITING_COUNT && inUse <= LEFT_COUNT_MAX;
    },
    60_000,
  );
  const taken = () => member.metric('holdfast_slow_path_events_total{event="connections-begun"}');
  const [begun, punted] = [await taken(), await member.metric(SYNS_PUNTED)];
  await connect(newcomer);
  await until("the connection to be counted", async () => (await taken()) > begun);
  assert.equal(await member.metric(SYNS_PUNTED), punted, "it took an offer");
}

async function sizes(member: Member) {
  const size = (table: string) => member.metric(`holdfast_slow_path_size{table="${table}"}`);
  return {
    offers: await size("tcp-offers"),
    offered: await size("tcp-offered-flows"),
    embryos: await size("plain-embryos"),
    portsPercent: await size("tcp-nat-ports-percent"),
    quota: await member.drops("embryo-quota"),
    exhausted: await member.drops("nat-ports-exhausted"),
    synRate: await member.drops("syn-rate"),
  };
}

/** A connection of the host's stack, whose question is answered. */
async function connect(host: Host): Promise<void> {
  const code = `
    const socket = require("node:net").connect(${PORT}, "${VIP}", () => socket.write("1:1\\n"));
    socket.once("data", () => process.exit(0));
    socket.on("error", (error) => { console.error(error.message); process.exit(1); });`;
  const child = host.spawn(process.execPath, ["-e", code]);
  const [status] = await once(child, "exit");
  assert.equal(status, 0, "a newcomer did not get in");
}

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { encodeAbort } from "@holdfast/sctp";
import {
  ENDPOINT_PORT,
  type HeardPacket,
  icmpPacket,
  pause,
  RawHost,
  SERVICE_PORT,
  sctpPacket,
  until,
} from "@holdfast/testkit";
import { EndpointScene } from "./scene.ts";

const FLOOD_COUNT = 400;

test("endpoints: cut for a moment, flooded with forgeries, restarted one by one, drained, removed, all gone", async (t) => {
  const service = { withdrawWhenDown: true };
  await EndpointScene.play({ clients: [1, 2], endpoints: 3, associations: 12, service }, async (scene) => {
    await t.test("a flood of forged ABORTs and ICMP errors ends nothing", () => forge(scene));
    await t.test("an endpoint that is unreachable for a moment loses nobody", () => cutForAMoment(scene));
    await t.test(
      "all endpoints are restarted one by one: their clients are told and return, the others notice nothing",
      () => restartAll(scene),
    );
    await t.test(
      "a drained endpoint keeps its associations and gets no new ones; a removed one has its clients told",
      () => drainAndRemove(scene),
    );
    await t.test(
      "with no endpoint left the VIPs are withdrawn, and come back with the first that answers",
      () => withdraw(scene),
    );
  });
});

/** Somebody who sees no traffic: right addresses and ports, tags that are guessed. */
async function forge(scene: EndpointScene): Promise<void> {
  const { cluster } = scene;
  const [member] = cluster.members;
  const sessions = await scene.sessions();
  assert.equal(sessions.length, 24);
  assert.ok(member);
  // Above a rate the fast path keeps both kinds to itself, and counts them as one.
  const dropped = async () => ({
    abort: await member.drops("wrong-tag"),
    icmp: (await member.drops("icmp-unrelated")) + (await member.drops("icmp-rate")),
    kept: await member.drops("punt-rate"),
  });
  const before = await dropped();
  const attacker = new RawHost(cluster.clients[0] as never, { quiet: false });
  const endpointAttacker = new RawHost(cluster.endpoints[2] as never, { quiet: false });
  const vip = cluster.vips[0] as Address;
  const endpoint = cluster.endpoints[0]?.addresses("core")[0] as Address;
  const client = cluster.clientAddresses(0)[0] as Address;
  for (let i = 0; i < FLOOD_COUNT; i++) {
    const tag = 0x1000 + i * 7919;
    const clientPort = 36412 + (i % 12);
    attacker.send(
      sctpPacket(
        { source: client, destination: vip, sourcePort: clientPort, destinationPort: SERVICE_PORT },
        tag,
        [encodeAbort({ causes: [] })],
      ),
    );
    // As if the endpoint's host had no SCTP: about a packet that never was.
    endpointAttacker.send(
      protocolUnreachable(
        endpoint,
        vip,
        sctpPacket(
          { source: vip, destination: endpoint, sourcePort: clientPort, destinationPort: ENDPOINT_PORT },
          tag,
          [encodeAbort({ causes: [] })],
        ),
      ),
      "core",
    );
    if (i % 50 === 49) await pause(10); // faster, and the flood would be the cables' loss
  }
  await scene.flowing();
  assert.deepEqual([...scene.noticed()], []);
  await scene.healthy(3);
  await until(
    "the forgeries to be counted, each by its reason",
    // Half of them: a queue on the way may be full, and what is not there cannot be counted.
    async () => {
      const now = await dropped();
      const [abort, icmp, kept] = [now.abort - before.abort, now.icmp - before.icmp, now.kept - before.kept];
      return abort > 0 && icmp > 0 && abort + icmp + kept >= FLOOD_COUNT;
    },
    5_000,
    100,
  );
}

function protocolUnreachable(source: Address, destination: Address, quoted: Uint8Array): Uint8Array {
  const inner = quoted.subarray(0, 28);
  const packet = Buffer.alloc(20 + 8 + inner.length);
  packet.set([0x45, 0, 0, packet.length, 0, 1, 0, 0, 64, 1]);
  packet.set(source.split(".").map(Number), 12);
  packet.set(destination.split(".").map(Number), 16);
  packet.set([3, 2], 20);
  packet.set(inner, 28);
  let sum = 0;
  for (let i = 20; i < packet.length; i += 2) sum += packet.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  packet.writeUInt16BE(~sum & 0xffff, 22);
  return packet;
}

async function cutForAMoment(scene: EndpointScene): Promise<void> {
  scene.mark();
  const host = scene.cluster.endpoints[1];
  host?.cut("core");
  await scene.healthy(2);
  host?.heal("core");
  await scene.healthy(3);
  await scene.flowing();
  assert.deepEqual([...scene.noticed()], []);
}

async function restartAll(scene: EndpointScene): Promise<void> {
  for (const [index, { host }] of [...scene.servers].entries()) {
    const { carried } = await scene.restart(index);
    assert.ok(carried.size >= 4, `${carried.size} associations at one of three endpoints`);
    await scene.flowing();
    assert.deepEqual([...scene.noticed()].sort(), [...carried].sort());
    const endpoint = host.addresses("core")[0] as Address;
    const { length } = (await scene.sessions()).filter(
      (session) => session.endpoint?.includes(endpoint) === true,
    );
    assert.equal(length, 0, "nobody is at an endpoint that has just come back");
  }
}

async function drainAndRemove(scene: EndpointScene): Promise<void> {
  const { cluster } = scene;
  const [member] = cluster.members;
  const host = cluster.endpoints[1];
  const address = host?.addresses("core")[0] as Address;
  const at = async () => (await scene.sessions()).filter((s) => s.endpoint?.includes(address) === true);
  const before = await at();
  assert.ok(before.length > 0);
  const service = (await member?.get<{ items: { id: string; name: string }[] }>("/v1/services"))?.items[0];
  const path = `/v1/services/${encodeURIComponent(service?.id ?? "")}/endpoints/${encodeURIComponent(`${address}:${ENDPOINT_PORT}`)}`;
  const drained = await member?.fetch("POST", `${path}/drain`);
  assert.equal(drained?.status, 200, drained?.body);
  scene.mark();
  await scene.flowing();
  assert.deepEqual([...scene.noticed()], []);
  assert.equal((await at()).length, before.length);
  const ids = new Set(before.map(({ clients, clientPort }) => `${clients[0]} ${clientPort}`));
  const removed = await member?.fetch("DELETE", `${path}?sessions=end`);
  assert.ok(removed !== undefined && removed.status < 300, removed?.body);
  await until("the clients of the removed endpoint to return elsewhere", async () => {
    const now = await scene.sessions();
    return now.length === 24 && now.every((s) => s.endpoint?.includes(address) !== true);
  });
  assert.equal(scene.noticed("lost").size, ids.size);
}

interface VipItem {
  readonly vip: Address;
  readonly owner?: string;
  readonly reasons?: readonly string[];
}

async function withdraw(scene: EndpointScene): Promise<void> {
  const { cluster, servers } = scene;
  const [member] = cluster.members;
  const owned = async () => {
    const { items } = (await member?.get<{ items: VipItem[] }>("/v1/vips")) ?? { items: [] };
    return items.filter(({ owner }) => owner !== undefined).length;
  };
  const vip = cluster.vips[0] as Address;
  const raw = new RawHost(cluster.clients[0] as never, { quiet: false });
  const client = cluster.clientAddresses(0)[0] as Address;
  /** A ping to the VIP within a quarter of a second. */
  const isAnswered = async () => {
    raw.receive();
    raw.send(icmpPacket({ source: client, destination: vip }, 8, 0, new Uint8Array(12)));
    const isReply = (p: HeardPacket) => p.source === vip && p.protocol === 1 && p.payload[0] === 0;
    return until("a reply", () => raw.receive().some(isReply), 250).catch(() => false);
  };
  assert.equal(await owned(), cluster.vips.length);
  assert.ok(await isAnswered());
  scene.mark();
  await Promise.all(servers.map((server) => server.kill()));
  await until("the VIPs to be withdrawn", async () => (await owned()) === 0);
  await until("nobody to answer for a VIP", async () => !(await isAnswered()));
  scene.servers[0] = await cluster.startEndpoint(0, { echo: true });
  await until("the VIPs to be back", async () => (await owned()) === cluster.vips.length);
  await until("every association to be back", async () => (await scene.sessions()).length === 24);
  assert.equal(scene.noticed("lost").size, 24);
}

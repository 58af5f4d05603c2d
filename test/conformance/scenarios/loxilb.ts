// What LoxiLB's multi-homing tests do, with what their scripts do not assert: the receiver's count and order,
// loss, the longest gap, and that nothing uses a path any more once it is known to be dead.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import {
  type CapturedPacket,
  type Host,
  hasChunk,
  listedAddresses,
  type Member,
  type Peer,
  pause,
  until,
} from "@holdfast/testkit";
import type { Context } from "../context.ts";
import type { Scenario } from "../scenario.ts";

const MESSAGES_PER_PATH = 1_000;
/** LoxiLB's -c 6. */
const ASSOCIATION_COUNT = 6;
const INIT_COUNT = 3;

/** Every message was also sent back and arrived, and neither direction was silent for long. */
async function bothWays(
  { profile }: Context,
  clients: readonly Peer[],
  servers: readonly Peer[],
): Promise<void> {
  for (const client of clients) {
    const figures = await until("all echoes", async () => {
      const list = await client.associations();
      return list.every(({ sent, echoes }) => echoes === sent) && list;
    });
    for (const { id, echoMissing, longestEchoGapMs } of figures) {
      assert.equal(echoMissing, 0, `association ${id}: echoes lost`);
      assert.ok(
        longestEchoGapMs <= profile.echoGapMs,
        `association ${id} heard no echo for ${longestEchoGapMs} ms`,
      );
    }
  }
  for (const server of servers)
    for (const { client, longestGapMs } of await server.receipts())
      assert.ok(longestGapMs <= profile.gapMs, `sender ${client} was silent for ${longestGapMs} ms`);
}

/** One message is one DATA chunk here; packets may carry several. */
function chunksOfData(packets: readonly CapturedPacket[]): number {
  return packets.flatMap(({ sctp }) => sctp?.chunks ?? []).filter(({ type }) => type === CHUNK.DATA).length;
}

/** DATA chunks seen at the endpoint since `sinceMs` that came from, or went to, a VIP. */
async function dataOver(context: Context, vip: Address, sinceMs = 0): Promise<{ up: number; down: number }> {
  const packets = (await context.atEndpoint()).filter((p) => p.wallMs >= sinceMs);
  return {
    up: chunksOfData(packets.filter(({ source }) => source === vip)),
    down: chunksOfData(packets.filter(({ destination }) => destination === vip)),
  };
}

/** Makes a VIP the primary of all associations of a client. */
async function usePrimary(client: Peer, vip: Address): Promise<void> {
  for (const [id, paths] of await client.paths())
    client.command(`primary ${id} ${paths.findIndex(({ address }) => address === vip)}`);
}

async function isUnreachable(peer: Peer, address?: Address): Promise<void> {
  await until(`${peer.role} to see the path fail`, () =>
    peer.events.some(
      (e) =>
        e.event === "path" &&
        e.state === "unreachable" &&
        (address === undefined || e.address === undefined || e.address === address),
    ),
  );
}

/** Packets from and to an address vanish at a host; returns what ends that. */
function blackhole(host: Host, address: Address): () => void {
  const family = address.includes(":") ? "ip6" : "ip";
  host.run(
    "nft",
    ["-f", "-"],
    `table inet blackhole {
 chain input { type filter hook input priority -300; ${family} saddr ${address} drop; ${family} daddr ${address} drop; }
 chain output { type filter hook output priority -300; ${family} saddr ${address} drop; ${family} daddr ${address} drop; }
}
`,
  );
  return () => host.run("nft", ["delete", "table", "inet", "blackhole"]);
}

async function ownerOf(context: Context, vip: Address): Promise<Member> {
  const owners = await context.cluster.settled();
  return context.cluster.memberOf(owners.get(vip) as string);
}

/** Three members, three VIPs, associations from two client addresses that carry messages and echoes. */
async function underway(context: Context): Promise<{ client: Peer; server: Peer; primary: Address }> {
  await context.open({ members: 3, clients: [2], vipCount: 3 });
  const server = await context.cluster.startEndpoint();
  const client = await context.cluster.startClient(0, { associations: ASSOCIATION_COUNT, rate: 50 });
  await client.established(ASSOCIATION_COUNT);
  await context.confirmed([client, server], 3);
  await context.flowing(server);
  return { client, server, primary: context.cluster.vips[0] as Address };
}

export const loxilb: readonly Scenario[] = [
  {
    number: 51,
    name: "LoxiLB: basic",
    rfc: "9260 §5.1.2",
    done: "A client with two addresses connects to a service with three VIPs at three members.",
    seen: "Its list of peer addresses is the three VIPs, as INIT-ACK's is; all are confirmed; messages arrive once, in order, both ways.",
    async run(context) {
      const { client, server } = await underway(context);
      const vips = [...context.cluster.vips].sort();
      for (const paths of (await client.paths()).values())
        assert.deepEqual(paths.map(({ address }) => address).sort(), vips);
      for (const packet of (await context.atClient()).filter((p) => hasChunk(p, CHUNK.INIT_ACK)))
        assert.deepEqual(listedAddresses(packet).sort(), vips);
      await context.intact([client], [server]);
      await bothWays(context, [client], [server]);
    },
  },
  {
    number: 52,
    name: "LoxiLB: multipath",
    rfc: "9260 §6.4",
    done: `${MESSAGES_PER_PATH.toLocaleString("en")} messages over each of three VIPs, one after the other as primary.`,
    seen: "Each VIP carries its messages: what leaves the client for a VIP reaches the endpoint from that VIP; all arrive once, in order.",
    async run(context) {
      await context.open({ members: 3, clients: [2], vipCount: 3 });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 500 });
      await client.established(1);
      await context.confirmed([client, server], 3);
      for (const vip of cluster.vips) {
        await usePrimary(client, vip);
        await context.flowing(server, MESSAGES_PER_PATH);
      }
      await context.intact([client], [server]);
      await bothWays(context, [client], [server]);
      const sent = (await context.atClient()).filter((p) => hasChunk(p, CHUNK.DATA));
      for (const vip of cluster.vips) {
        const left = chunksOfData(sent.filter((p) => p.destination === vip));
        const { up } = await dataOver(context, vip);
        // The first messages after the change may still be on their way over the old one.
        assert.ok(left >= MESSAGES_PER_PATH / 2, `${left} messages left for ${vip}`);
        assert.ok(up >= left, `${up} messages of ${left} reached the endpoint from ${vip}`);
      }
    },
  },
  {
    number: 53,
    name: "LoxiLB: a path of the client fails",
    rfc: "9260 §6.4.1, §8.2",
    done: "The carrier of the client's first network goes away under messages of six associations, and returns.",
    seen: "The client gives the path up, and sends no DATA over it while it is known to be dead; the endpoint's messages go on, whatever it makes of its paths to the VIPs; nothing is lost, no gap above one RTO and a margin; it is confirmed again.",
    limitMs: 90_000,
    async run(context) {
      await context.open({ members: 3, clients: [3], vipCount: 3 });
      const { cluster } = context;
      const dead = cluster.vips[0] as Address;
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { associations: ASSOCIATION_COUNT, rate: 50 });
      await client.established(ASSOCIATION_COUNT);
      await context.confirmed([client, server], 3);
      await context.flowing(server);
      assert.ok((await dataOver(context, dead)).up > 0, "the path was in use");
      cluster.clients[0]?.cut("path-a", "carrier");
      let seen: unknown;
      await until("the client to give up its path", async () => {
        const views = [...(await client.paths()).values()];
        const states = views.map((paths) => paths.find(({ address }) => address === dead)?.state);
        seen = views;
        return states.length === ASSOCIATION_COUNT && states.every((state) => state === "inactive");
      }).catch((error: Error) => {
        throw new Error(`${error.message}; it sees ${JSON.stringify(seen)}`);
      });
      const since = Date.now() + 50;
      await context.flowing(server, 100);
      assert.equal((await dataOver(context, dead, since)).up, 0, "DATA on the client's dead path");
      cluster.clients[0]?.heal("path-a");
      await context.confirmed([client, server], 3);
      await context.intact([client], [server]);
      await bothWays(context, [client], [server]);
    },
  },
  {
    number: 54,
    name: "LoxiLB: a path of the endpoint fails",
    rfc: "9260 §6.4.1, §8.2",
    done: "An endpoint with two addresses loses the one that the service names, in and out, and gets it back.",
    seen: "The other one carries on, and only it once the death is known; the client sees VIPs only and keeps all its paths; nothing is lost in either direction.",
    families: ["ipv4", "ipv6"],
    async run(context) {
      await context.open({
        members: 3,
        clients: [2],
        vipCount: 3,
        endpointAddresses: 2,
        configuration: {
          health: { enabled: true, intervalMs: 250, timeoutMs: 200, downCount: 2, upCount: 1 },
        },
      });
      const { cluster } = context;
      const host = cluster.endpoints[0] as Host;
      const [first, second] = host.addresses("core") as [Address, Address];
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { associations: ASSOCIATION_COUNT, rate: 50 });
      await client.established(ASSOCIATION_COUNT);
      await context.flowing(server, 30);
      const mend = blackhole(host, first);
      await context.flowing(server, 100);
      const since = Date.now();
      await context.flowing(server, 50);
      const data = (await context.atEndpoint()).filter(
        (p) => p.wallMs >= since && hasChunk(p, CHUNK.DATA) && cluster.vips.includes(p.source),
      );
      assert.deepEqual([...new Set(data.map(({ destination }) => destination))], [second]);
      mend();
      await context.flowing(server, 50);
      for (const paths of (await client.paths()).values())
        assert.ok(paths.length === 3 && paths.every(({ address }) => cluster.vips.includes(address)));
      await context.intact([client], [server]);
      await bothWays(context, [client], [server]);
    },
  },
  {
    number: 55,
    name: "LoxiLB: a member dies, seen from the client",
    rfc: "9260 §6.3.3, §8.1",
    done: "kill -9 of the primary's owner while six associations send, and its restart; once more when it is back.",
    seen: "Six associations at every member again; the endpoint gets every message once, in order; no gap above take-over and one RTO.",
    limitMs: 120_000,
    async run(context) {
      const { client, server, primary } = await underway(context);
      for (let round = 0; round < 2; round++) {
        const owner = await ownerOf(context, primary);
        await owner.killDaemon();
        await context.flowing(server, 30);
        await owner.start();
        await context.cluster.settled();
        await until("every member to hold every session", async () => {
          const lists = await Promise.all(context.cluster.members.map((m) => context.sessions(m)));
          return lists.every(
            (list) => list.filter(({ phase }) => phase === "established").length === ASSOCIATION_COUNT,
          );
        });
        await context.flowing(server);
      }
      await context.intact([client], [server]);
      await bothWays(context, [client], [server]);
    },
  },
  {
    number: 56,
    name: "LoxiLB: a member dies, seen from the endpoint",
    rfc: "9260 §6.3.3, §8.1",
    done: "The host of the member that the endpoint sends to for the primary VIP vanishes while it sends.",
    seen: "The endpoint's packets for that VIP go to another member; every echo reaches its client once; no gap above take-over and one RTO.",
    async run(context) {
      const { client, server, primary } = await underway(context);
      const owner = await ownerOf(context, primary);
      // Behind a router every frame is the router's: there its route tells whom it goes to.
      const isOnLink = context.profile.announcer !== "bgp";
      const before = owner.host.mac("core");
      const toPrimary = async () =>
        (await context.atEndpoint()).findLast((p) => p.destination === primary && p.sctp !== undefined);
      if (isOnLink) assert.equal((await toPrimary())?.destinationMac, before);
      await owner.killNode();
      await context.flowing(server, 50);
      const successor = await ownerOf(context, primary);
      assert.notEqual(successor, owner);
      if (isOnLink)
        await until(
          "the endpoint's packets to go to the successor",
          async () => (await toPrimary())?.destinationMac === successor.host.mac("core"),
        );
      else await context.settled();
      await context.flowing(server);
      await context.confirmed([client, server], 3);
      await context.intact([client], [server]);
      await bothWays(context, [client], [server]);
    },
  },
  {
    number: 57,
    name: "LoxiLB: straight to each secondary",
    rfc: "9260 §5.1",
    done: "Three clients connect, one to each VIP; they shut down, the service is deleted, and INITs come again.",
    seen: "INIT reaches the endpoint from the VIP that was called; all paths are confirmed whichever was first; after the deletion nothing reaches the endpoint.",
    async run(context) {
      await context.open({ members: 3, clients: [2, 2, 2], vipCount: 3, withService: false });
      const service = await context.createService();
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const clients: Peer[] = [];
      for (const [index, vip] of cluster.vips.entries()) {
        const client = await cluster.startClient(index, { remote: vip, rate: 50 });
        await client.established(1);
        clients.push(client);
        const inits = (await context.atEndpoint()).filter((p) => hasChunk(p, CHUNK.INIT));
        assert.equal(inits.at(-1)?.source, vip);
        const first = (await context.atClient(index)).find((p) => hasChunk(p, CHUNK.INIT_ACK));
        assert.equal(first?.source, vip);
      }
      await context.confirmed([...clients, server], 3);
      await context.flowing(server);
      await context.intact(clients, [server]);
      await bothWays(context, clients, [server]);
      for (const client of clients) client.command("shutdown -1");
      await until("the endpoint to see them go", () => server.count("shutdown") === 3);
      await Promise.all(clients.map((client) => client.kill()));
      // A member that has not heard yet would tell them that their service is gone.
      await context.closed(cluster.members);
      const { status, body } = await context.member.fetch("DELETE", service);
      assert.ok(status < 300, `${status} ${body}`);
      await until("no member to have a VIP", async () => {
        const lists = await Promise.all(cluster.members.map((m) => m.get<{ items: unknown[] }>("/v1/vips")));
        return lists.every(({ items }) => items.length === 0);
      });
      const known = (await context.atEndpoint()).length;
      const late = context.scripted(0, { port: 40_000 });
      for (let n = 0; n < INIT_COUNT; n++) {
        for (const to of cluster.vips) late.sendInit({}, { to });
        await pause(200);
      }
      const news = (await context.atEndpoint()).slice(known);
      assert.equal(news.filter((p) => hasChunk(p, CHUNK.INIT)).length, 0, "INIT for a deleted service");
      assert.equal(late.answers(CHUNK.INIT_ACK).length, 0);
    },
  },
  {
    number: 58,
    name: "LoxiLB: the primary is a black hole",
    rfc: "9260 §8.2, §8.3",
    done: "All packets from and to the primary VIP vanish at the client, and later do so no more.",
    seen: "The primary leaves ACTIVE on both sides, the secondaries stay ACTIVE and carry everything; no DATA on the dead path, nothing lost; the primary is ACTIVE again.",
    limitMs: 90_000,
    async run(context) {
      await context.open({ members: 3, clients: [3], vipCount: 3 });
      const { cluster } = context;
      const [dead, ...others] = cluster.vips as [Address, ...Address[]];
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 50 });
      await context.confirmed([client, server], 3);
      await context.flowing(server);
      const mend = blackhole(cluster.clients[0] as Host, dead);
      await isUnreachable(client, dead);
      await isUnreachable(server);
      const since = Date.now() + 50;
      await context.flowing(server, 100);
      for (const paths of (await client.paths()).values())
        for (const { address, state } of paths)
          assert.equal(state, others.includes(address) ? "active" : "inactive", address);
      assert.deepEqual(await dataOver(context, dead, since), { up: 0, down: 0 }, "DATA on the dead path");
      mend();
      await context.confirmed([client, server], 3);
      await context.intact([client], [server]);
      await bothWays(context, [client], [server]);
    },
  },
];

// Members that die, are cut off, come back; networks that fail.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import type { Address } from "@holdfast/model";
import { CHUNK, encodeCookieEcho } from "@holdfast/sctp";
import { hasChunk, type Member, type Peer, type PeerOptions, until } from "@holdfast/testkit";
import type { Context, StageOptions } from "../context.ts";
import type { Scenario } from "../scenario.ts";

async function ownerOf(context: Context, vip = context.cluster.vips[0] as Address): Promise<Member> {
  const owners = await context.cluster.settled();
  return context.cluster.memberOf(owners.get(vip) as string);
}

interface Stage {
  readonly server: Peer;
  readonly clients: readonly Peer[];
}

/**
 * Clients that come later have hosts of their own: two stacks on one host would abort each other's
 * associations.
 */
const EARLY_COUNT = 3;
const PATIENT_RETRANS = 100;

/** Three members, clients with one, two and three addresses, messages flowing over confirmed paths. */
async function stage(
  context: Context,
  options: StageOptions = {},
  peer: Pick<PeerOptions, "assocMaxRetrans"> = {},
): Promise<Stage> {
  await context.open({ members: 3, clients: [1, 2, 3, 1, 2, 3], ...options });
  const { cluster } = context;
  const server = await cluster.startEndpoint(0, peer);
  const clients = await Promise.all(
    cluster.clients
      .slice(0, EARLY_COUNT)
      .map((_, i) => cluster.startClient(i, { rate: 50, associations: 2, ...peer })),
  );
  for (const client of clients) await client.established(2);
  await context.confirmed([...clients, server], cluster.vips.length);
  await context.flowing(server);
  return { server, clients };
}

async function assertGaps({ profile }: Context, server: Peer): Promise<void> {
  for (const { client, longestGapMs } of await server.receipts())
    assert.ok(longestGapMs <= profile.gapMs, `sender ${client} was silent for ${longestGapMs} ms`);
}

/** Of the family of `vip`. */
function coreAddressOf({ host }: Member, vip: string): string {
  const isV6 = (address: string) => address.includes(":");
  return host.addresses("core").find((address) => isV6(address) === isV6(vip)) as string;
}

/** The host comes back after a power cut: nothing of it was kept. */
async function returnCold(member: Member): Promise<void> {
  for (const path of [member.pinDirectory, member.storeDirectory])
    rmSync(path, { recursive: true, force: true });
  member.host.plug();
  await member.start();
}

export const members: readonly Scenario[] = [
  {
    number: 29,
    name: "The primary's owner dies under traffic",
    rfc: "9260 §6.3.3, §8.1",
    done: "The owner of the primary vanishes, host and all; later the daemon of the next owner is killed with -9.",
    seen: "No ABORT, no message lost, no association lost; receivers are silent for at most take-over and one RTO.",
    everywhere: true,
    async run(context) {
      const { server, clients } = await stage(context);
      const first = await ownerOf(context);
      await first.killNode();
      await context.flowing(server, 30);
      const second = await ownerOf(context);
      assert.notEqual(second, first);
      await returnCold(first);
      await ownerOf(context);
      const third = await ownerOf(context);
      await third.killDaemon();
      await context.flowing(server, 30);
      assert.notEqual(await ownerOf(context), third);
      // The dead daemon's data plane is no trap for newcomers.
      const fresh = await context.cluster.startClient(EARLY_COUNT, { rate: 50 });
      await fresh.established(1);
      await context.flowing(server);
      await context.intact([...clients, fresh], [server]);
      await assertGaps(context, server);
    },
  },
  {
    number: 30,
    name: "The owner dies between INIT-ACK and COOKIE-ECHO",
    rfc: "9260 §5.1",
    done: "INIT-ACK has arrived; the owner of the primary vanishes; the client retransmits COOKIE-ECHO.",
    seen: "The association comes up with the NAT port of INIT.",
    async run(context) {
      await context.open({ members: 3 });
      const server = await context.cluster.startEndpoint();
      const owner = await ownerOf(context);
      const client = context.scripted();
      const init = await client.init();
      await owner.killNode();
      client.behave();
      const echo = () =>
        client.send([encodeCookieEcho(init.stateCookie as Uint8Array)], { tag: init.initiateTag });
      await until(
        "COOKIE-ACK",
        () => {
          echo();
          return client.answers(CHUNK.COOKIE_ACK)[0];
        },
        10_000,
        300,
      );
      await until("the association at the endpoint", () => server.count("up") === 1);
      client.sendData(Buffer.from("up"));
      await client.answer(CHUNK.SACK);
      const ports = new Set(
        (await context.atEndpoint())
          .filter((p) => p.sctp !== undefined && context.cluster.vips.includes(p.source))
          .map((p) => p.sctp?.sourcePort),
      );
      assert.equal(ports.size, 1);
    },
  },
  {
    number: 31,
    name: "Two of three members die, one after the other",
    rfc: "9260 §6.3.3, §8.1",
    done: "The owner of the primary vanishes, then the owner of what it left.",
    seen: "No ABORT, no message lost, no association lost; one member owns every VIP.",
    async run(context) {
      const { server, clients } = await stage(context);
      for (let kill = 0; kill < 2; kill++) {
        await (await ownerOf(context)).killNode();
        await context.flowing(server, 30);
      }
      const owners = new Set((await context.cluster.settled()).values());
      assert.equal(owners.size, 1);
      await context.intact(clients, [server]);
      await assertGaps(context, server);
    },
  },
  {
    number: 32,
    name: "Partition, and it heals",
    rfc: "9260 §5.2.4",
    done: "One member and the two others hear nothing of each other; new associations on both sides; then they meet again.",
    seen: "No NAT port twice, no ABORT, nothing lost; all members hold the same sessions in the end.",
    limitMs: 90_000,
    async run(context) {
      // Both halves announce every VIP on the same segments: a packet may come to the half that does not
      // know its association, and waits for the other. That is longer than ten of a lab's short time-outs.
      const patience = context.profile.name === "field" ? {} : { assocMaxRetrans: PATIENT_RETRANS };
      const { server, clients } = await stage(context, {}, patience);
      const { cluster } = context;
      const [alone, ...others] = cluster.members;
      assert.ok(alone);
      cluster.partition([[alone], others]);
      await until(
        "both sides to own every VIP",
        async () =>
          (await cluster.owners(alone)).size === cluster.vips.length &&
          [...(await cluster.owners(alone)).values()].every((o) => o === alone.name),
      );
      const fresh = await Promise.all(
        cluster.clients
          .slice(EARLY_COUNT)
          .map((_, i) => cluster.startClient(EARLY_COUNT + i, { associations: 5, rate: 50, ...patience })),
      );
      for (const client of fresh) await client.established(5);
      cluster.mend();
      await cluster.settled();
      await context.flowing(server, 30);
      await context.intact([...clients, ...fresh], [server]);
      assert.equal(server.count("restart"), 0);
      await until("all members to hold the same sessions", async () => {
        const views = await Promise.all(
          cluster.members.map(async (member) =>
            JSON.stringify((await context.sessions(member)).map((s) => [s.id, s.phase, s.natPort]).sort()),
          ),
        );
        return new Set(views).size === 1;
      });
      const used = (await context.sessions()).map(({ natPort, endpoint }) => `${endpoint} ${natPort}`);
      assert.equal(new Set(used).size, used.length);
    },
  },
  {
    number: 33,
    name: "Clients and endpoint believe in different owners",
    rfc: "9260 §8.3",
    done: "The endpoint's neighbour table, or its router's routes, lead every VIP to a member that the clients do not use; before and during associations.",
    seen: "Everything passes: associations come up, all paths confirm, nothing is lost.",
    everywhere: true,
    async run(context) {
      await context.open({ members: 3, clients: [2, 2] });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const early = await cluster.startClient(0, { rate: 50 });
      await early.established(1);
      const owners = await cluster.settled();
      const routerOfEndpoints = cluster.bgpRouters.find(({ network }) => network === "core");
      for (const vip of cluster.vips) {
        const other = cluster.members.find(({ name }) => name !== owners.get(vip));
        assert.ok(other);
        // A route by hand is preferred to what the router has learnt.
        routerOfEndpoints?.host.ip(`route replace ${vip} via ${coreAddressOf(other, vip)} dev core metric 1`);
        cluster.endpoints[0]?.ip(
          `neigh replace ${vip} lladdr ${other.host.mac("core")} dev core nud permanent`,
        );
      }
      const late = await cluster.startClient(1, { rate: 50 });
      await late.established(1);
      await context.confirmed([early, late, server], 4);
      await context.flowing(server, 50);
      await context.intact([early, late], [server]);
    },
  },
  {
    number: 34,
    name: "A member restarts cold under traffic",
    rfc: "9260 §8.4",
    done: "The owner of the primary vanishes and comes back without programs, maps and store while messages flow.",
    seen: "Nobody gets an ABORT for a packet that the newcomer does not know yet; it holds every session again; nothing is lost.",
    async run(context) {
      const { server, clients } = await stage(context);
      const owner = await ownerOf(context);
      await owner.killNode();
      await context.flowing(server, 20);
      await returnCold(owner);
      await context.flowing(server, 50);
      await context.cluster.settled();
      await until("it to hold every session", async () => (await context.sessions(owner)).length === 6);
      await context.flowing(server, 20);
      await context.intact(clients, [server]);
      await assertGaps(context, server);
    },
  },
  {
    number: 35,
    name: "A client's first path fails",
    rfc: "9260 §6.4.1, §8.2, §8.3",
    done: "The cable of a client's first network is cut silently for two seconds and put back.",
    seen: "The endpoint and the client use other paths, each within an RTO and a margin; the cut path is confirmed again; nothing is lost.",
    everywhere: true,
    async run(context) {
      await context.open({ clients: [3] });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 50, size: 400 });
      await context.confirmed([client, server], 4);
      cluster.clients[0]?.cut("path-a");
      for (const peer of [client, server])
        await until(`${peer.role} to see it`, () =>
          peer.events.some((e) => e.event === "path" && e.state === "unreachable"),
        );
      await context.flowing(server, 50);
      cluster.clients[0]?.heal("path-a");
      await context.confirmed([client, server], 4);
      await context.intact([client], [server]);
      await assertGaps(context, server);
      // What the endpoint sends found its other paths as fast.
      for (const { longestEchoGapMs, echoMissing } of await client.associations()) {
        assert.ok(
          longestEchoGapMs <= context.profile.echoGapMs,
          `the client heard nothing for ${longestEchoGapMs} ms`,
        );
        assert.equal(echoMissing, 0);
      }
    },
  },
  {
    number: 36,
    name: "The network of the secondary VIP fails",
    rfc: "9260 §8.2, §8.3",
    done: "The second path network is cut at every member, and put back.",
    seen: "The client uses other VIPs; after the repair all paths are active again; nothing is lost.",
    async run(context) {
      await context.open({ members: 3, clients: [3], vipCount: 3 });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 50 });
      await context.confirmed([client, server], 3);
      client.command("primary -1 1");
      await context.flowing(server, 20);
      for (const { host } of cluster.members) host.cut("path-b");
      await until("the client to see it", () =>
        client.events.some((e) => e.event === "path" && e.state === "unreachable"),
      );
      const since = Date.now() + 50;
      await context.flowing(server, 50);
      const stray = (await context.atEndpoint()).filter(
        (p) => p.wallMs >= since && p.source === cluster.vips[1] && hasChunk(p, CHUNK.DATA),
      );
      assert.equal(stray.length, 0, "DATA over the dead network");
      for (const { host } of cluster.members) host.heal("path-b");
      await context.confirmed([client, server], 3);
      await context.intact([client], [server]);
      assert.ok((await context.atClient()).every((p) => !hasChunk(p, CHUNK.ABORT)));
      await assertGaps(context, server);
    },
  },
];

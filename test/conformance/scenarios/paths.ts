// Setting up, and the paths between client addresses and VIPs.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import { CHUNK, encodeHeartbeat } from "@holdfast/sctp";
import {
  ENDPOINT_PORT,
  type Host,
  hasChunk,
  initOf,
  listedAddresses,
  type Peer,
  until,
} from "@holdfast/testkit";
import type { Scenario } from "../scenario.ts";

/** RTO.Initial of the test stacks is 300 ms, or 3 s on a clock that is ten times as fast. */
const TWO_RTO_MS = 600;

/** When the last path of a peer was confirmed, from its association's start, ms. */
function confirmedAfterMs(peer: Peer): number {
  const up = peer.events.find(({ event }) => event === "up")?.atMs ?? 0;
  const last =
    peer.events.findLast(({ event, state }) => event === "path" && state === "confirmed")?.atMs ?? up;
  return last - up;
}

export const paths: readonly Scenario[] = [
  {
    number: 1,
    name: "1×1: set-up, data, shutdown",
    rfc: "9260 §5.1, §6, §9.2",
    done: "One address, one VIP; 200 numbered messages with echo; SHUTDOWN by the client.",
    seen: "All arrive once, in order, both ways; both stacks see the shutdown; the session is gone after the linger.",
    everywhere: true,
    async run(context) {
      await context.open({ vipCount: 1 });
      const server = await context.cluster.startEndpoint();
      const client = await context.cluster.startClient(0, { rate: 500 });
      await client.established(1);
      await context.flowing(server, 200);
      await context.intact([client], [server]);
      assert.equal((await client.associations())[0]?.echoMissing, 0);
      assert.equal((await context.session()).phase, "established");
      client.command("shutdown -1");
      await until(
        "both to see the shutdown",
        () => client.count("shutdown") + server.count("shutdown") === 2,
      );
      await context.closed();
      await until("its NAT port to be out of use", async () => {
        const { body } = await context.member.fetch("GET", "/v1/metrics");
        return body.includes('holdfast_slow_path_size{table="nat-ports-used"} 0');
      });
    },
  },
  {
    number: 2,
    name: "1×4: one address, four VIPs",
    rfc: "9260 §5.1.2, §5.4",
    done: "A client with one address connects to a service with four VIPs.",
    seen: "INIT-ACK lists the four VIPs; all paths are confirmed on both sides within two RTO.",
    families: ["ipv4", "ipv6"],
    async run(context) {
      await context.open();
      const server = await context.cluster.startEndpoint();
      const client = await context.cluster.startClient();
      await context.confirmed([client, server], 4);
      for (const peer of [client, server]) {
        const after = confirmedAfterMs(peer);
        assert.ok(after <= TWO_RTO_MS, `${peer.role}: confirmed after ${after} ms`);
      }
      const acknowledgement = (await context.atClient()).find((p) => hasChunk(p, CHUNK.INIT_ACK));
      assert.ok(acknowledgement);
      assert.deepEqual(listedAddresses(acknowledgement).sort(), [...context.cluster.vips].sort());
      await context.flowing(server);
      await context.intact([client], [server]);
    },
  },
  {
    number: 3,
    name: "2×2: INIT comes from the second address",
    rfc: "9260 §5.1.2, §6.4",
    done: "The route to the primary VIP leads over the second network, so INIT leaves from c1.",
    seen: "Pairing is {VIP0: c1, VIP1: c0}; all paths are confirmed on both sides.",
    families: ["ipv4", "ipv6"],
    async run(context) {
      const { clients, vips } = await context.open({ vipCount: 2, clients: [2] });
      const [c0, c1] = context.cluster.clientAddresses(0);
      for (const [vip, network] of [
        [vips[0], "path-b"],
        [vips[1], "path-a"],
      ] as const)
        context.cluster.route(clients[0] as Host, vip as Address, network);
      const server = await context.cluster.startEndpoint();
      const client = await context.cluster.startClient();
      await context.confirmed([client, server], 2);
      const init = (await context.atClient()).find((p) => hasChunk(p, CHUNK.INIT));
      assert.equal(init?.source, c1);
      const { id } = await context.session();
      const detail = await context.member.get<{ paths: { vip: Address; pairedClient?: string }[] }>(
        `/v1/sessions/${id}`,
      );
      assert.deepEqual(
        detail.paths.map(({ vip, pairedClient }) => [vip, pairedClient]),
        [
          [vips[0], c1],
          [vips[1], c0],
        ],
      );
      await context.flowing(server);
      await context.intact([client], [server]);
    },
  },
  {
    number: 4,
    name: "2×2: every client address to every VIP",
    rfc: "9260 §6.4, §8.3",
    done: "HEARTBEAT and DATA from each of two addresses to each of two VIPs.",
    seen: "Each reaches the endpoint from the VIP it was sent to; each HEARTBEAT-ACK returns to the address that asked.",
    families: ["ipv4", "ipv6"],
    async run(context) {
      await context.open({ vipCount: 2, clients: [2] });
      const server = await context.cluster.startEndpoint();
      const client = context.scripted();
      client.behave();
      await client.establish();
      const { addresses, vips } = client.options;
      for (const from of addresses) {
        for (const to of vips) {
          const asked = async (round: number) => {
            const information = Buffer.from(`${from} to ${to}, ${round}`.padEnd(60));
            client.send([encodeHeartbeat(information)], { from, to });
            const answer = await until(`HEARTBEAT-ACK for ${from} > ${to}`, () =>
              client
                .answers(CHUNK.HEARTBEAT_ACK)
                .find(({ heard }) => Buffer.from(heard.bytes).includes(information)),
            );
            const at = (await context.atEndpoint()).find(
              (p) => hasChunk(p, CHUNK.HEARTBEAT) && Buffer.from(p.bytes).includes(information),
            );
            assert.equal(at?.source, to);
            assert.equal(answer.heard.source, to);
            return answer.heard.destination;
          };
          // The first packet of a pair teaches the fast path; its answer may still go where the last one
          // went.
          let round = 0;
          assert.ok(addresses.includes(await asked(round)));
          await until(`the answers to come to ${from}`, async () => (await asked(++round)) === from, 3_000);
          client.sendData(Buffer.from("over this path"), { from, to });
          await client.answer(CHUNK.SACK);
        }
      }
      assert.equal(server.count("lost"), 0);
    },
  },
  {
    number: 5,
    name: "3×1, 1×3, 4×4, 5×2",
    rfc: "9260 §5.1.2",
    done: "Clients with 3, 1, 4 and 5 addresses connect to services with 1, 3, 4 and 2 VIPs.",
    seen: "INIT at the endpoint and INIT-ACK at the client name each VIP of the service once, and nothing else; messages arrive once, in order.",
    families: ["ipv4", "ipv6"],
    async run(context) {
      const shapes = [
        [3, 1],
        [1, 3],
        [4, 4],
        [5, 2],
      ] as const;
      await context.open({ clients: shapes.map(([n]) => Math.min(n, 3)), withService: false });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const clients: Peer[] = [];
      for (const [index, [addressCount, vipCount]] of shapes.entries()) {
        const vips = cluster.vips.slice(0, vipCount);
        const port = 5_000 + index;
        const { status, body } = await context.member.fetch("POST", "/v1/services", {
          vips,
          port,
          endpoints: [{ address: cluster.endpoints[0]?.addresses("core")[0], port: ENDPOINT_PORT }],
        });
        assert.equal(status, 201, body);
        const local = cluster.clientAddresses(index);
        for (let extra = local.length; extra < addressCount; extra++) {
          const address = cluster.stranger(index * 10 + extra);
          cluster.addAddress(cluster.clients[index] as Host, "path-a", address);
          local.push(address);
        }
        const client = await cluster.startClient(index, { local, remotePort: port, rate: 50 });
        clients.push(client);
        await client.established(1);
        await context.confirmed([client], vipCount);
        const inits = (await context.atEndpoint()).filter((p) => hasChunk(p, CHUNK.INIT));
        const init = inits.at(-1);
        assert.ok(init);
        const listed = listedAddresses(init);
        assert.deepEqual(listed, vipCount === 1 ? [] : vips, "what INIT lists at the endpoint");
        assert.ok(vips.includes(init.source));
        const sent = (await context.atClient(index)).find((p) => hasChunk(p, CHUNK.INIT));
        assert.equal(initOf(sent as never)?.addresses.length, addressCount === 1 ? 0 : addressCount);
        const answer = (await context.atClient(index)).find((p) => hasChunk(p, CHUNK.INIT_ACK));
        assert.ok(answer);
        assert.deepEqual(
          [...new Set([answer.source, ...listedAddresses(answer)])].sort(),
          [...vips].sort(),
          "what INIT-ACK names at the client",
        );
      }
      await context.flowing(server);
      await context.intact(clients, [server]);
    },
  },
  {
    number: 6,
    name: "The endpoint's first HEARTBEAT follows COOKIE-ACK at once",
    rfc: "9260 §5.4, §8.3",
    done: "Three members own the VIPs; a client with three addresses connects, ten times.",
    seen: "The very first HEARTBEAT to each VIP, microseconds behind COOKIE-ACK, reaches the client: no path waits for a second try.",
    async run(context) {
      await context.open({ members: 3, clients: [3], vipCount: 3 });
      const server = await context.cluster.startEndpoint();
      const client = await context.cluster.startClient(0, { associations: 10 });
      await client.established(10);
      await context.confirmed([client, server], 3);
      const [endpointSide, clientSide] = [await context.atEndpoint(), await context.atClient()];
      for (const vip of context.cluster.vips.slice(1)) {
        const first = new Map<number, (typeof endpointSide)[number]>();
        for (const packet of endpointSide) {
          if (packet.destination !== vip || !hasChunk(packet, CHUNK.HEARTBEAT)) continue;
          const port = packet.sctp?.destinationPort as number;
          if (!first.has(port)) first.set(port, packet);
        }
        assert.equal(first.size, 10, `HEARTBEATs to ${vip}`);
        for (const packet of first.values()) {
          const arrived = clientSide.find(
            (p) =>
              p.source === vip && Buffer.from(p.payload.subarray(12)).equals(packet.payload.subarray(12)),
          );
          assert.ok(arrived, `the first HEARTBEAT to ${vip} did not arrive`);
        }
      }
      await context.flowing(server);
      await context.intact([client], [server]);
    },
  },
];

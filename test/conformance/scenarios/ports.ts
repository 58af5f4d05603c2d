// NAT ports: one of its own for every association, whoever allocates.
import assert from "node:assert/strict";
import type { Address } from "@holdfast/model";
import { CHUNK } from "@holdfast/sctp";
import { hasChunk, until } from "@holdfast/testkit";
import type { Context } from "../context.ts";
import type { Scenario } from "../scenario.ts";

/** Source ports of the INITs that the endpoint got, by initiate tag. */
async function natPorts(context: Context): Promise<number[]> {
  const ports = new Map<number, number>();
  for (const packet of await context.atEndpoint()) {
    const chunk = packet.sctp?.chunks[0];
    if (packet.sctp === undefined || chunk?.type !== CHUNK.INIT) continue;
    ports.set(Buffer.from(chunk.bytes).readUInt32BE(4), packet.sctp.sourcePort);
  }
  return [...ports.values()];
}

export const ports: readonly Scenario[] = [
  {
    number: 26,
    name: "Ten clients with one source port",
    rfc: "9260 §5.2.4",
    done: "Ten hosts connect from the same port.",
    seen: "Ten NAT ports at the endpoint, no restart there, no message lost.",
    everywhere: true,
    async run(context) {
      await context.open({ clients: Array.from({ length: 10 }, () => 1) });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const clients = await Promise.all(cluster.clients.map((_, i) => cluster.startClient(i, { rate: 20 })));
      for (const client of clients) await client.established(1);
      await context.flowing(server);
      assert.equal(new Set(await natPorts(context)).size, 10);
      assert.equal(server.count("up"), 10);
      assert.equal(server.count("restart"), 0);
      await context.intact(clients, [server]);
    },
  },
  {
    number: 27,
    name: "Members allocate at the same time for the same port",
    rfc: "9260 §5.2.4",
    done: "Nine hosts connect from the same port at once, three to each member's VIP.",
    seen: "Nine NAT ports at the endpoint, no restart there.",
    async run(context) {
      await context.open({ members: 3, clients: Array.from({ length: 9 }, () => 1), vipCount: 3 });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const clients = await Promise.all(
        cluster.clients.map((_, i) =>
          cluster.startClient(i, { rate: 20, remote: cluster.vips[i % 3] as Address }),
        ),
      );
      for (const client of clients) await client.established(1);
      await context.flowing(server);
      assert.equal(new Set(await natPorts(context)).size, 9);
      const allocators = new Set((await context.sessions()).map(({ member }) => member));
      assert.ok(allocators.size > 1, `allocated by ${[...allocators]}`);
      assert.equal(server.count("restart"), 0);
      await context.intact(clients, [server]);
    },
  },
  {
    number: 28,
    name: "All NAT ports of the member are in use",
    rfc: "9260 §5.1",
    done: "1,500 clients' INITs at a member that may allocate 1,024 ports; those that get no answer send theirs again.",
    seen: "What does not fit is dropped and counted; an established association goes on without a loss.",
    async run(context) {
      await context.open({
        clients: [1, 1],
        service: { natPort: "any" },
        configuration: { cluster: { memberNumberCount: 64 }, timers: { scale: 1 } },
      });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 100 });
      await client.established(1);
      const clients = context.scripted(1);
      const before = await context.member.drops("nat-ports-exhausted");
      // The last ports are for INITs that come again: only then are all in use.
      await until("100 INITs to find no port", async () => {
        for (let n = 0; n < 1_500; n++) {
          clients.sendInit({ initiateTag: 0x2000_0000 + n }, { port: 10_000 + n });
          if (n % 50 === 0) await new Promise(setImmediate);
        }
        return (await context.member.drops("nat-ports-exhausted")) >= before + 100;
      });
      assert.ok(new Set(await natPorts(context)).size <= 1_025);
      await context.flowing(server);
      await context.intact([client], [server]);
      assert.equal((await context.atEndpoint()).filter((p) => hasChunk(p, CHUNK.ABORT)).length, 0);
    },
  },
];

// 3: a peer that demands a source port. The client's own is what the endpoint sees, whatever slot it is in.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { CAUSE, CHUNK, type Chunk, findChunk, parseCauses } from "@holdfast/sctp";
import { Cluster, RawHost, ScriptedClient, until } from "@holdfast/testkit";

/** M3UA and Diameter: of eight slots the second member's, and one that no member of three has. */
const M3UA_PORT = 2_905;
const DIAMETER_PORT = 3_868;
const REQUIRED_PORT = 5_000;
const SCRIPTED = 3;

interface SessionItem {
  readonly clientPort: number;
  readonly clients: readonly Address[];
  readonly natPort?: number;
  readonly phase: string;
}

test("ports are kept at every member and out once; require is refused with a reason while the lender is dead", async (t) => {
  const cluster = new Cluster({ members: 3, clients: [1, 1, 1, 1], vips: ["203.0.113.1", "198.51.100.1"] });
  try {
    await cluster.start();
    const [first] = cluster.members;
    assert.ok(first);
    const spec = cluster.serviceSpec() as { endpoints: object[] };
    const required = { ...spec, name: "required", port: REQUIRED_PORT, natPort: "require" };
    const { status, body } = await first.fetch("POST", "/v1/services", required);
    assert.equal(status, 201, body);
    assert.equal((JSON.parse(body) as { natPort: string }).natPort, "require");
    const server = await cluster.startEndpoint();
    const sessions = async (client: number) => {
      const { items } = await first.get<{ items: SessionItem[] }>("/v1/sessions?limit=100");
      return items.filter(
        (s) => s.phase === "established" && s.clients.includes(cluster.clientAddresses(client)[0] as Address),
      );
    };
    const natPorts = (client: number, count: number) =>
      until(`${count} sessions of client ${client}`, async () => {
        const list = await sessions(client);
        return list.length === count && list.map(({ natPort }) => natPort);
      });

    // One association a process: from 2905 and from 3868, to a VIP of one member and of another.
    for (const [index, port] of [M3UA_PORT, DIAMETER_PORT].entries()) {
      const client = await cluster.startClient(index, {
        port,
        rate: 50,
        remote: cluster.vips[index] as Address,
      });
      await client.established(1);
      assert.deepEqual(await natPorts(index, 1), [port]);
    }
    const asked = (await Promise.all(cluster.members.map((m) => event(m, "nat-ports-borrowed")))).reduce(
      (a, b) => a + b,
    );
    assert.ok(asked >= 1, "somebody else lent a port");

    await t.test("another client of that port gets another, where any will do", async () => {
      const client = await cluster.startClient(2, { port: M3UA_PORT, rate: 50 });
      await client.established(1);
      const [natPort] = await natPorts(2, 1);
      assert.notEqual(natPort, M3UA_PORT);
      assert.equal(server.count("restart") + server.count("lost"), 0);
    });

    // A host of its own: a stack would answer for what it does not know.
    const host = cluster.clients[SCRIPTED];
    assert.ok(host);
    const raw = new RawHost(host);
    const scripted = (port: number, tag: number) =>
      new ScriptedClient(raw, {
        port,
        servicePort: REQUIRED_PORT,
        addresses: cluster.clientAddresses(SCRIPTED),
        vips: cluster.vips,
        tag,
      });
    const reasonOf = async (client: ScriptedClient) => {
      const { packet } = await client.answer(CHUNK.ABORT);
      const causes = parseCauses(findChunk(packet, CHUNK.ABORT) as Chunk);
      assert.ok(Array.isArray(causes));
      const [cause] = causes;
      assert.equal(cause?.type, CAUSE.USER_INITIATED_ABORT);
      return Buffer.from(cause.bytes.subarray(cause.offset + 4, cause.offset + cause.length)).toString();
    };

    await t.test("… and is refused where not, with a reason that is counted", async () => {
      const client = scripted(DIAMETER_PORT, 0x3868_0001);
      client.sendInit();
      assert.match(await reasonOf(client), /3868 is in use/);
      const counts = await Promise.all(cluster.members.map((m) => m.drops("nat-port-taken")));
      assert.ok(counts.some((count) => count > 0));
    });

    await t.test("with the lender dead its ports cannot be had, others can", async () => {
      // The next of the second member's slot, and the next of nobody's.
      const [lent, common] = [M3UA_PORT + 8, DIAMETER_PORT + 8];
      const dead = cluster.members[1];
      assert.ok(dead);
      await dead.killNode();
      await cluster.settled();
      const refused = scripted(lent, 0x2913_0001);
      await until(
        "an ABORT",
        async () => {
          refused.sendInit();
          return refused.answers(CHUNK.ABORT).length > 0;
        },
        30_000,
        300,
      );
      assert.match(await reasonOf(refused), /2913 does not answer/);
      const client = scripted(common, 0x3876_0001);
      client.behave();
      await client.establish();
      // Two of three are a majority; the member that is asked may hear of it a moment later.
      await until(`a session from ${common}`, async () =>
        (await sessions(SCRIPTED)).some(({ natPort }) => natPort === common),
      );
    });
  } finally {
    await cluster.close();
  }
});

async function event(member: { fetch: Cluster["members"][number]["fetch"] }, name: string): Promise<number> {
  const { body } = await member.fetch("GET", "/v1/metrics");
  return Number(new RegExp(`event="${name}"\\} (\\d+)`).exec(body)?.[1] ?? Number.NaN);
}

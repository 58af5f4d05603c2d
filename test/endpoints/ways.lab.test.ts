// What a probe from the member's own address does not show: whether a VIP's packet reaches the endpoint, and
// the answer a member. It is a warning: the endpoint is used all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, type Member, until, withLogs } from "@holdfast/testkit";

interface Listed {
  readonly items: readonly {
    readonly endpoints: readonly {
      readonly health: string;
      readonly unproven?: readonly { readonly vip: Address; readonly reason: string }[];
    }[];
  }[];
}

const LIMIT_MS = 60_000;

async function endpointAt(member: Member) {
  const { items } = await member.get<Listed>("/v1/services");
  const endpoint = items[0]?.endpoints[0];
  assert.ok(endpoint);
  return endpoint;
}

/** What every member says. */
async function everywhere(cluster: Cluster, what: string, wanted: readonly string[]): Promise<void> {
  let seen: unknown;
  await until(
    what,
    async () => {
      const all = await Promise.all(cluster.members.map(endpointAt));
      seen = all;
      return all.every(({ unproven = [] }) => unproven.map(({ vip }) => vip).join() === wanted.join());
    },
    LIMIT_MS,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
}

test("a VIP whose packets a policy at the endpoint drops is unproven at every member, the endpoint stays up, and it heals", async () => {
  const cluster = new Cluster({
    members: 2,
    clients: [2],
    configuration: { health: { intervalMs: 200, timeoutMs: 150, downCount: 3, upCount: 1 } },
  });
  const [vip, other] = cluster.vips as readonly [Address, Address];
  const [endpoint] = cluster.endpoints;
  try {
    await cluster.start();
    assert.ok(endpoint);
    await cluster.startEndpoint();
    await cluster.endpointsUp();
    const answers = async () => {
      const counts = await Promise.all(
        cluster.members.map(async (member) => {
          const { body } = await member.fetch("GET", "/v1/metrics");
          return Number(/slow_path_events_total\{event="way-answers"\} (\d+)/.exec(body)?.[1] ?? 0);
        }),
      );
      return counts.reduce((sum, count) => sum + count, 0);
    };
    await until(
      "every VIP's way to be proven",
      async () => (await answers()) >= cluster.vips.length,
      LIMIT_MS,
    );
    await everywhere(cluster, "nothing to be unproven", []);
    // What comes from the VIP is dropped before the server sees it; probes from members' addresses are not.
    const table = `table inet guard { chain drops { type filter hook prerouting priority -300; ip saddr ${vip} drop; }; }`;
    endpoint.run("nft", ["-f", "-"], table);
    await everywhere(cluster, `${vip} to be unproven`, [vip]);
    for (const member of cluster.members) {
      const { health, unproven } = await endpointAt(member);
      assert.equal(health, "up", "it is a warning");
      assert.match(unproven?.[0]?.reason ?? "", /brought no answer back/);
    }
    // It is used all the same: by the VIP that works an association begins.
    const client = await cluster.startClient(0, { remote: other });
    await client.established(1);
    endpoint.run("nft", ["delete", "table", "inet", "guard"]);
    await everywhere(cluster, "all to be proven again", []);
    // The answer does not come back to the VIP: no route there.
    endpoint.run("nft", ["-f", "-"], table.replace("prerouting", "output").replace("saddr", "daddr"));
    await everywhere(cluster, `${vip} to be unproven for want of answers`, [vip]);
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

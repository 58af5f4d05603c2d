// What a probe from the member's own address does not show: whether a VIP's packet reaches the endpoint, and
// the answer a member. It is a warning: the endpoint is used all the same.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, withLogs } from "@holdfast/testkit";
import { endpointAt, everywhere, proven } from "./unproven.ts";

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
    await proven(cluster);
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

// 11: a server that begins, from its own port to the service's: refused with a reason, or carried to its
// peer.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, startClient, startServer, until } from "@holdfast/testkit";

const PORT = 2_905;

test("an endpoint begins with its peer, and the association outlives the VIP's owner", async (t) => {
  const cluster = new Cluster({
    members: 3,
    clients: [2],
    vips: ["203.0.113.1", "198.51.100.1"],
    withService: false,
  });
  try {
    await cluster.start();
    const [first] = cluster.members;
    const [endpointHost] = cluster.endpoints;
    const [peerHost] = cluster.clients;
    assert.ok(first && endpointHost && peerHost);
    const [address] = endpointHost.addresses("core");
    const spec = { vips: cluster.vips, port: PORT, endpoints: [{ address, port: PORT }] };
    const put = async (more: object) => {
      const { status, body } = await first.fetch("POST", "/v1/services", { ...spec, ...more });
      assert.equal(status, 201, body);
      await cluster.settled();
      return `/v1/services/${encodeURIComponent((JSON.parse(body) as { id: string }).id)}`;
    };
    const call = () =>
      startClient(endpointHost, {
        local: [address as Address],
        port: PORT,
        remote: cluster.vips[0] as Address,
        remotePort: PORT,
        rate: 50,
        id: 7,
      });
    const peer = await startServer(peerHost, { local: cluster.clientAddresses(0), port: PORT, echo: true });

    await t.test("refused and counted where endpoints may not begin", async () => {
      const url = await put({});
      const refused = await call();
      await until("the reason", async () => {
        const counts = await Promise.all(cluster.members.map((member) => member.drops("endpoint-begins")));
        return counts.some((count) => count > 0);
      });
      await refused.kill();
      assert.equal(peer.count("up"), 0);
      const { status } = await first.fetch("DELETE", `${url}?sessions=end`);
      assert.ok(status < 300);
    });

    await put({ endpointsMayBegin: true, peers: cluster.clientAddresses(0) });
    const server = await call();
    await server.established(1);
    await until("both paths at both ends", async () => {
      const lists = [...(await server.paths()).values(), ...(await peer.paths()).values()];
      return lists.length === 2 && lists.every((l) => l.length === 2 && l.every((p) => p.state === "active"));
    });
    const received = async () => (await peer.receipts())[0]?.received ?? 0;
    await until("messages", async () => (await received()) >= 50);
    const owners = await cluster.settled();
    await cluster.memberOf(owners.get(cluster.vips[0] as Address) as string).killNode();
    const before = await received();
    await until("messages after the owner's death", async () => (await received()) >= before + 50);
    const [figures] = await server.settle();
    assert.equal(figures?.lost, 0);
    assert.equal((await peer.receipts())[0]?.received, figures?.sent);
    await until("every echo", async () => (await server.associations())[0]?.echoes === figures?.sent);
  } finally {
    await cluster.close();
  }
});

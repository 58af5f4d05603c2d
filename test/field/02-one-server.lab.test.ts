// One server with two addresses, written as two endpoints (as Kubernetes and hand-made lists do), beside a
// second server.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { Cluster, ENDPOINT_PORT, startServer, until } from "@holdfast/testkit";
import { played } from "../networks/played.ts";

interface EndpointRow {
  readonly address: Address;
  readonly sameServerAs?: readonly string[];
  readonly health: string;
  readonly sessions: number;
}

test("two endpoints that are one server: found by its own answers, one share, no client waits", async () => {
  const cluster = new Cluster({
    clients: [1],
    endpoints: 2,
    endpointAddresses: 2,
    configuration: { health: { intervalMs: 200, timeoutMs: 150, downCount: 3, upCount: 1 } },
    service: {
      endpoints: [
        { address: "198.19.0.100", port: ENDPOINT_PORT },
        { address: "198.19.1.100", port: ENDPOINT_PORT },
        { address: "198.19.0.101", port: ENDPOINT_PORT },
      ],
    },
  });
  await played(cluster, async () => {
    await cluster.start();
    const [first, second] = cluster.endpoints;
    assert.ok(first && second);
    const addresses = first.addresses("core");
    await startServer(first, { local: addresses, port: ENDPOINT_PORT, echo: true });
    await startServer(second, { local: ["198.19.0.101"], port: ENDPOINT_PORT, echo: true });
    const [member] = cluster.members;
    assert.ok(member);
    const rows = async () =>
      ((await member.get("/v1/services")) as { items: { endpoints: EndpointRow[] }[] }).items[0]?.endpoints ??
      [];
    await until("the two to be known as one", async () => {
      const list = await rows();
      const twins = list.filter(({ sameServerAs }) => sameServerAs?.length === 1);
      return twins.length === 2 && list.every(({ health }) => health === "up");
    });
    // Its routes say what it answers from, whatever it was called at.
    first.run(
      "nft",
      ["-f", "-"],
      `table ip moved {
 chain in {
  type filter hook input priority -300
  ip daddr 198.19.0.100 ip saddr 203.0.113.1 ip protocol 132 @th,96,8 1 counter
 }
 chain out {
  type filter hook output priority 300
  ip protocol 132 @th,96,8 2 ip saddr set 198.19.1.100
 }
}
`,
    );
    const client = await cluster.startClient(0, { associations: 8, rate: 20, size: 100 });
    await client.established(8);
    await until("every session to be counted", async () => {
      const list = await rows();
      return list.reduce((sum, { sessions }) => sum + sessions, 0) === 8;
    });
    const shares = (await rows()).map(({ address, sessions }) =>
      addresses.includes(address) ? sessions : -sessions,
    );
    assert.equal(
      shares.filter((share) => share > 0).reduce((sum, share) => sum + share, 0),
      4,
      `as many as the other server: ${JSON.stringify(await rows())}`,
    );
    // Nobody's first INIT went unanswered: a second one would have been a second of a real stack's time, or
    // three.
    const { body } = await member.fetch("GET", "/v1/metrics");
    const events = (name: string) => Number(new RegExp(`event="${name}"\\} (\\d+)`).exec(body)?.[1] ?? 0);
    assert.equal(events("init-reselections"), 0);
    const asked = Number(/packets (\d+)/.exec(first.run("nft", ["list", "table", "ip", "moved"]))?.[1]);
    assert.ok(asked > 0, "the server was called at its other address");
  });
});

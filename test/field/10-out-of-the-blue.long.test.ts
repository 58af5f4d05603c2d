// A lone member that lost all state: whoever goes on with an association of before is told, and begins anew.
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { CHUNK, T_BIT } from "@holdfast/sctp";
import { Cluster, startCapture, until } from "@holdfast/testkit";

test("after a loss of all state client and endpoint hear of it, instead of waiting out their retransmission limits", async () => {
  const cluster = new Cluster({
    clients: [1],
    configuration: { timers: { scale: 0.05 }, dataPlane: { keepInstalled: false } },
  });
  try {
    await cluster.start();
    const [member, host, endpoint] = [cluster.members[0], cluster.clients[0], cluster.endpoints[0]];
    assert.ok(member && host && endpoint);
    // By themselves they would not give up while this test runs.
    const patience = { assocMaxRetrans: 10_000, pathMaxRetrans: 10_000 };
    const server = await cluster.startEndpoint(0, patience);
    const client = await cluster.startClient(0, { ...patience, rate: 10 });
    await client.established(1);
    const captures = [
      await startCapture(cluster.lab, host, "path-a", "sctp"),
      await startCapture(cluster.lab, endpoint, "core", "sctp"),
    ];
    // With its data plane and its disk: nothing is left of what it knew.
    assert.equal(await member.stop(), 0);
    rmSync(member.storeDirectory, { recursive: true });
    await member.start();
    await until("both ends to be told", () => client.count("lost") > 0 && server.count("lost") > 0);
    for (const capture of captures) {
      const aborts = () =>
        capture
          .packets()
          .filter(({ source }) => cluster.vips.includes(source))
          .flatMap(({ sctp }) => sctp?.chunks ?? [])
          .filter(({ type }) => type === CHUNK.ABORT);
      // The capture may lag behind the stacks.
      await until("the ABORT to be captured", () => aborts().length > 0);
      for (const { flags } of aborts()) assert.equal(flags & T_BIT, T_BIT);
    }
  } finally {
    await cluster.close();
  }
});

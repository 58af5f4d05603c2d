// Jumbo frames and small messages: a stack bundles more than a hundred in a packet, and every fast path
// carries them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, startCapture, until } from "@holdfast/testkit";

const MESSAGE_COUNT = 3_000;
const MTU = 9_000;
const ETHERNET_HEADER = 14;
const DEAF = "type filter hook input priority 0; meta l4proto sctp drop";
/** Without IP and SCTP headers. */
const PATH_MTU = MTU - 32;

for (const fastPath of [undefined, "userspace"] as const) {
  test(`${fastPath ?? "BPF"}: thousands of messages of 64 bytes at once over an MTU of 9,000`, async () => {
    const cluster = new Cluster({ mtu: MTU, clients: [2], ...(fastPath !== undefined && { fastPath }) });
    try {
      await cluster.start();
      const endpoint = cluster.endpoints[0];
      assert.ok(endpoint);
      const capture = await startCapture(cluster.lab, endpoint, "core", "sctp", MTU + ETHERNET_HEADER);
      const server = await cluster.startEndpoint(0, { echo: false, pathMtu: PATH_MTU });
      const client = await cluster.startClient(0, { rate: 1, pathMtu: PATH_MTU });
      await client.established(1);
      // What nobody acknowledges is sent again, as much in a packet as fits; and so is all that has waited
      // meanwhile.
      endpoint.run("nft", ["-f", "-"], `table inet deaf {\n chain input {\n ${DEAF}\n }\n}\n`);
      client.command(`send 0 ${MESSAGE_COUNT} 64`);
      await until("a stack that waits", async () => (await client.associations())[0]?.unacknowledged !== 0);
      endpoint.run("nft", ["delete", "table", "inet", "deaf"]);
      await until("the messages", async () => {
        const [receipt] = await server.receipts();
        return (receipt?.received ?? 0) >= MESSAGE_COUNT;
      });
      const most = Math.max(...capture.packets().map((packet) => packet.sctp?.chunks.length ?? 0));
      assert.ok(most > 64, `${most} chunks in a packet at most`);
      const [receipt] = await server.receipts();
      assert.deepEqual([receipt?.missing, receipt?.corrupt], [0, 0]);
      assert.equal(client.count("lost") + server.count("lost"), 0);
    } finally {
      await cluster.close();
    }
  });
}

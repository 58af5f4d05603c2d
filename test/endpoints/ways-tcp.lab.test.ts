// The way of a VIP's SYN to a server of TCP and back, with real stacks: proven without a connection that the
// server's program would see, unproven where a policy drops the VIP, and healed by itself.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Cluster, withLogs } from "@holdfast/testkit";
import { eventCount, everywhere, proven } from "./unproven.ts";

const PORT = 443;
const SERVER_PORT = 8_443;
/** Says who connects. */
const SERVER = `
  require("node:net").createServer((socket) => console.log(socket.remoteAddress))
    .listen(${SERVER_PORT}, "0.0.0.0", () => console.log("ready"));
`;

test("a VIP's way to a server of TCP is proven by a SYN that no program hears of, and told where it is not", async () => {
  const cluster = new Cluster({
    members: 2,
    clients: [1],
    withService: false,
    configuration: { health: { intervalMs: 200, timeoutMs: 150, downCount: 3, upCount: 1 } },
  });
  const { vips } = cluster;
  const [vip] = vips;
  const [host] = cluster.endpoints;
  try {
    await cluster.start();
    assert.ok(host && vip);
    const heard: string[] = [];
    const lines = createInterface({ input: host.spawn(process.execPath, ["-e", SERVER]).stdout as never });
    await once(lines, "line");
    lines.on("line", (line) => heard.push(line));
    // By ping: whoever connects is a VIP, then.
    const endpoints = [{ address: host.addresses("core")[0], port: SERVER_PORT }];
    const service = { protocol: "tcp", vips, port: PORT, endpoints, healthCheck: { kind: "ping" } };
    const made = await cluster.members[0]?.fetch("POST", "/v1/services", service);
    assert.equal(made?.status, 201, made?.body);
    await cluster.settled();
    await cluster.endpointsUp();
    await proven(cluster);
    const table = `table inet guard { chain drops { type filter hook prerouting priority -300; ip saddr ${vip} tcp dport ${SERVER_PORT} drop; }; }`;
    host.run("nft", ["-f", "-"], table);
    await everywhere(cluster, `${vip} to be unproven`, [vip]);
    host.run("nft", ["delete", "table", "inet", "guard"]);
    await everywhere(cluster, "all to be proven again", []);
    const answer = table
      .replace("prerouting", "output")
      .replace(`saddr ${vip} tcp dport`, `daddr ${vip} tcp sport`);
    host.run("nft", ["-f", "-"], answer);
    await everywhere(cluster, `${vip} to be unproven for want of answers`, [vip]);
    // What was left half open there is no hindrance.
    host.run("nft", ["delete", "table", "inet", "guard"]);
    await everywhere(cluster, "all to be proven again", []);
    assert.deepEqual(heard, [], "no program heard of any of it");
    assert.ok((await eventCount(cluster, "way-syns")) > 2 * vips.length);
  } catch (error) {
    throw withLogs(error, cluster.members);
  } finally {
    await cluster.close();
  }
});

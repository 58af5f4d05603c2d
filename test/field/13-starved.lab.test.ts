// A lone member without its processor for a while: what needs the slow path waits, since nobody else could
// take it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK } from "@holdfast/sctp";
import { Cluster, hasChunk, startCapture, until } from "@holdfast/testkit";

/** Some 300 ms apart: the daemon's sign of life is stale by then. */
const INIT_COUNT = 4;

test("a handshake that begins while the lone member's daemon stands still is made when it goes on", async () => {
  const cluster = new Cluster({ clients: [1] });
  try {
    await cluster.start();
    const [member, host] = [cluster.members[0], cluster.clients[0]];
    assert.ok(member && host);
    await cluster.startEndpoint(0);
    // The client's neighbour table knows the VIP from then on. Two stacks of one host hear each other's
    // packets.
    const first = await cluster.startClient(0, { rate: 10, blackhole: true });
    await first.established(1);
    const capture = await startCapture(cluster.lab, member.host, "path-a", "sctp");
    member.signal("SIGSTOP");
    const second = await cluster.startClient(0, { port: 36_500, id: 500, rate: 10, blackhole: true });
    const inits = () =>
      capture.packets().filter((p) => p.sctp?.sourcePort === 36_500 && hasChunk(p, CHUNK.INIT)).length;
    await until("INITs to a daemon that stands still", () => inits() >= INIT_COUNT);
    member.signal("SIGCONT");
    await second.established(1);
    assert.equal(await member.drops("no-successor"), 0);
    assert.equal(first.count("lost"), 0);
  } finally {
    await cluster.close();
  }
});

test("packets do not go round between two members whose daemons stand still", async () => {
  const cluster = new Cluster({ members: 2, clients: [1] });
  try {
    await cluster.start();
    const host = cluster.clients[0];
    assert.ok(host);
    await cluster.startEndpoint(0);
    const first = await cluster.startClient(0, { rate: 10, blackhole: true });
    await first.established(1);
    const captures = await Promise.all(
      cluster.members.map((member) => startCapture(cluster.lab, member.host, "path-a", "sctp")),
    );
    for (const member of cluster.members) member.signal("SIGSTOP");
    const second = await cluster.startClient(0, { port: 36_500, id: 500, rate: 10, blackhole: true });
    const inits = () =>
      captures
        .flatMap((capture) => capture.packets())
        .filter((p) => p.sctp?.sourcePort === 36_500 && hasChunk(p, CHUNK.INIT));
    // As it came, at the first member and at the second.
    await until("INITs to daemons that stand still", () => inits().length >= 2 * INIT_COUNT);
    for (const member of cluster.members) member.signal("SIGCONT");
    await second.established(1);
    for (const member of cluster.members) assert.equal(await member.drops("ttl-expired"), 0);
    assert.equal(first.count("lost"), 0);
  } finally {
    await cluster.close();
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import {
  Cluster,
  ENDPOINT_PORT,
  startCapture,
  startServer,
  until,
  VIPS_V4,
  VIPS_V6,
} from "@holdfast/testkit";
import { played, unharmed } from "./played.ts";

const MESSAGE_SIZE = 16_384;
const SMALL_MTU = 1280;
const ETHERNET_MTU = 1500;
/** Of IPv6 and SCTP. */
const HEADERS = 52;

for (const { name, vips } of [
  { name: "IPv4", vips: VIPS_V4 },
  { name: "IPv6", vips: VIPS_V6 },
]) {
  test(`${name}: messages of 16 KiB cross a core of ${SMALL_MTU} bytes, and back; whoever sends more hears the MTU from a VIP`, async () => {
    const cluster = new Cluster({ clients: [1], vips });
    await played(cluster, async () => {
      for (const host of [...cluster.members.map((m) => m.host), ...cluster.endpoints])
        host.run("ip", ["link", "set", "dev", "core", "mtu", String(SMALL_MTU)]);
      await cluster.start();
      const [host] = cluster.clients;
      assert.ok(host);
      const edge = await startCapture(cluster.lab, host, "path-a", "");
      // The endpoint knows its own link; usrsctp does not ask for an IPv4 link's MTU.
      const server = await cluster.startEndpoint(0, { echo: true, pathMtu: SMALL_MTU - HEADERS });
      // Its first messages leave in packets of 1,500 bytes: only ICMP tells it that the core carries less.
      const client = await cluster.startClient(0, {
        rate: 5,
        size: MESSAGE_SIZE,
        pathMtu: ETHERNET_MTU - HEADERS,
      });
      await client.established(1);
      await unharmed(client, 5);
      assert.ok(client.events.some((e) => e.event === "pathMtu" && e["mtu"] === SMALL_MTU));
      const [receipt] = await server.receipts();
      assert.equal(receipt?.corrupt, 0);
      await edge.flush();
      const sent = edge.packets().filter(({ source }) => !isVip(vips, source));
      const own =
        vips === VIPS_V6 ? { type: 2, protocol: 58, header: 40 } : { type: 3, protocol: 1, header: 20 };
      const error = edge.packets().find((p) => p.protocol === own.protocol && p.payload[0] === own.type);
      assert.ok(error && isVip(vips, error.source), `from ${error?.source}`);
      const view = Buffer.from(error.payload.buffer, error.payload.byteOffset, error.payload.length);
      assert.equal(vips === VIPS_V6 ? view.readUInt32BE(4) : view.readUInt16BE(6), SMALL_MTU);
      // The packet as its sender knew it, from its first byte on.
      const inner = view.subarray(8);
      assert.ok(inner.length >= own.header + 8);
      assert.ok(
        sent.some(({ bytes }) => Buffer.from(bytes).subarray(0, inner.length).equals(inner)),
        "the error quotes a packet that the client sent",
      );
      await edge.stop();
    });
  });
}

const isVip = (vips: readonly Address[], address: Address) => vips.includes(address);

test("a service with VIPs of both families", async () => {
  const vips = [VIPS_V4[0], VIPS_V6[1], VIPS_V4[2], VIPS_V6[3]];
  const cluster = new Cluster({ clients: [2], vips });
  await played(cluster, async () => {
    await cluster.start();
    await cluster.startEndpoint(0, { echo: true });
    const client = await cluster.startClient(0, { rate: 20, size: 200, associations: 3 });
    await client.established(3);
    await until("every path to be confirmed", async () =>
      [...(await client.paths()).values()].every(
        (paths) => paths.length === vips.length && paths.every((path) => path.state === "active"),
      ),
    );
    await unharmed(client, 20);
  });
});

test("an endpoint with two addresses loses the one that is configured, and nobody an association", async () => {
  const cluster = new Cluster({
    clients: [1],
    endpointAddresses: 2,
    configuration: { health: { intervalMs: 250, timeoutMs: 200, downCount: 2, upCount: 1 } },
  });
  await played(cluster, async () => {
    await cluster.start();
    const [host] = cluster.endpoints;
    assert.ok(host);
    const [first, second] = host.addresses("core") as [Address, Address];
    const edge = await startCapture(cluster.lab, host, "core", "sctp");
    await startServer(host, { local: [first, second], port: ENDPOINT_PORT, echo: true });
    const client = await cluster.startClient(0, { rate: 20, size: 200, associations: 3 });
    await client.established(3);
    await unharmed(client, 10);
    // Its first address goes silent, in and out.
    host.run(
      "nft",
      ["-f", "-"],
      `table inet dead {
 chain input { type filter hook input priority -300; ip daddr ${first} drop; }
 chain output { type filter hook output priority -300; ip saddr ${first} drop; }
}
`,
    );
    const before = Math.max(...(await client.associations()).map((a) => a.echoes));
    await unharmed(client, before + 40);
    const clientSide = new Set(edge.packets().map(({ destination }) => destination));
    assert.ok(clientSide.has(second), "the second address is used");
    const paths = [...(await client.paths()).values()].flat();
    assert.ok(
      paths.every(({ address }) => cluster.vips.includes(address)),
      "the client sees VIPs only",
    );
    await edge.stop();
  });
});

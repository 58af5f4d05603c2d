import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeHeartbeat, writeIpv4Checksum } from "@holdfast/sctp";
import {
  Cluster,
  ENDPOINT_PORT,
  type Peer,
  RawHost,
  SERVICE_PORT,
  sctpPacket,
  startCapture,
  startServer,
  until,
  VIPS_V4,
  VIPS_V6,
} from "@holdfast/testkit";

const MESSAGE_SIZE = 16_384;
const SMALL_MTU = 1280;
/** Bytes of a HEARTBEAT that the clients' network carries and the core does not. */
const TOO_BIG = 1340;
const isV6 = (address: string) => address.includes(":");

async function played(cluster: Cluster, story: () => Promise<void>): Promise<void> {
  try {
    await story();
  } catch (error) {
    const logs = cluster.members.map((member) => `--- ${member.name}\n${member.log().slice(-3000)}`);
    throw new Error(`${(error as Error).message}\n${logs.join("\n")}`, { cause: error });
  } finally {
    await cluster.close();
  }
}

/** Nothing was lost, nobody began anew, and so many messages came back. */
async function unharmed(client: Peer, echoCount: number): Promise<void> {
  let seen: unknown;
  await until(
    `${echoCount} echoes`,
    async () => {
      const figures = await client.associations();
      seen = figures;
      return figures.every((a) => a.echoes >= echoCount);
    },
    15_000,
    50,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${JSON.stringify(seen)}`);
  });
  for (const figure of await client.associations()) {
    assert.equal(figure.ups, 1, JSON.stringify(figure));
    assert.equal(figure.lost + figure.restarts + figure.cannotStart, 0, JSON.stringify(figure));
  }
}

for (const { name, vips, carries } of [
  { name: "IPv4", vips: VIPS_V4, carries: false },
  { name: "IPv6", vips: VIPS_V6, carries: true },
]) {
  test(`${name}: a core of ${SMALL_MTU} bytes${carries ? " carries messages of 16 KiB" : ""}; a sender of more hears the MTU from a VIP`, async () => {
    const cluster = new Cluster({ clients: [1], vips });
    await played(cluster, async () => {
      for (const host of [...cluster.members.map((m) => m.host), ...cluster.endpoints])
        host.run("ip", ["link", "set", "dev", "core", "mtu", String(SMALL_MTU)]);
      await cluster.start();
      const [host] = cluster.clients;
      assert.ok(host);
      const edge = await startCapture(cluster.lab, host, "path-a", "sctp");
      const raw = new RawHost(host);
      // No echo: the endpoint's own host refuses what is too big for the core.
      const server = await cluster.startEndpoint(0, { echo: false });
      const client = await cluster.startClient(0, { rate: 2, size: carries ? MESSAGE_SIZE : 200 });
      await client.established(1);
      // Over IPv4 the test's stack sets DF and hears no ICMP, so it cannot follow; over IPv6 it sends 1,280 bytes.
      if (carries) {
        await until("messages of 16 KiB to arrive", async () => {
          const [receipt] = await server.receipts();
          return receipt !== undefined && receipt.received >= 1 && receipt.corrupt === 0;
        });
      }
      const sample = edge
        .packets()
        .find(({ source, sctp }) => !isVip(vips, source) && sctp !== undefined && sctp.verificationTag !== 0);
      assert.ok(sample?.sctp);
      const { source, destination } = sample;
      const { sourcePort, verificationTag } = sample.sctp;
      const way = { source, destination, sourcePort, destinationPort: SERVICE_PORT };
      const tooBig = sctpPacket(way, verificationTag, [encodeHeartbeat(new Uint8Array(TOO_BIG))]);
      if (!isV6(source)) forbidFragments(tooBig);
      raw.send(tooBig);
      const ownType = isV6(source) ? 2 : 3;
      const headerSize = isV6(source) ? 40 : 20;
      const error = await until("packet too big", () => {
        raw.receive();
        return raw.heard.find(
          ({ bytes, outgoing }) =>
            !outgoing &&
            bytes[isV6(source) ? 6 : 9] === (isV6(source) ? 58 : 1) &&
            bytes[headerSize] === ownType,
        );
      });
      assert.ok(isVip(vips, error.source), `from ${error.source}`);
      assert.equal(error.destination, source);
      const view = Buffer.from(error.bytes.buffer, error.bytes.byteOffset, error.bytes.length);
      assert.equal(
        isV6(source) ? view.readUInt32BE(headerSize + 4) : view.readUInt16BE(headerSize + 6),
        SMALL_MTU,
      );
      // The packet as its sender knew it, from the first byte of its SCTP header on.
      const inner = view.subarray(headerSize + 8 + headerSize);
      assert.ok(inner.length >= 8);
      const proof = Math.min(inner.length, 20);
      assert.deepEqual([...inner.subarray(0, proof)], [...tooBig.subarray(headerSize, headerSize + proof)]);
      const figures = await client.associations();
      assert.deepEqual(
        figures.map(({ ups, lost, restarts }) => [ups, lost, restarts]),
        [[1, 0, 0]],
      );
      await edge.stop();
    });
  });
}

const isVip = (vips: readonly string[], address: string) => vips.includes(address);

/** Sets the DF bit, and the header's checksum anew. */
function forbidFragments(packet: Uint8Array): void {
  packet[6] = 0x40;
  writeIpv4Checksum(packet);
}

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
    const [first, second] = host.addresses("core");
    const edge = await startCapture(cluster.lab, host, "core", "sctp");
    await startServer(host, { local: [first as string, second as string], port: ENDPOINT_PORT, echo: true });
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
    assert.ok(clientSide.has(second as string), "the second address is used");
    const paths = [...(await client.paths()).values()].flat();
    assert.ok(
      paths.every(({ address }) => cluster.vips.includes(address)),
      "the client sees VIPs only",
    );
    await edge.stop();
  });
});

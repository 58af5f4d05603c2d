// A service with a public and a private VIP. Linux leaves private addresses of a peer out whose INIT came
// from a public one, and answers what comes from them with ABORT, T bit, the tag that came: it must not reach
// the other end.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Address } from "@holdfast/model";
import { CHUNK, encodeAbort, encodeHeartbeat, T_BIT } from "@holdfast/sctp";
import {
  type CapturedPacket,
  Cluster,
  hasChunk,
  RawHost,
  ScriptedClient,
  SERVICE_PORT,
  sctpPacket,
  startCapture,
  until,
} from "@holdfast/testkit";
import { played } from "../networks/played.ts";

const PUBLIC = "203.0.113.1";
const PRIVATE = "10.77.0.1";
const HEARTBEAT_COUNT = 3;

const isReflected = (packet: CapturedPacket) =>
  packet.sctp?.chunks.some(({ type, flags }) => type === CHUNK.ABORT && (flags & T_BIT) !== 0) === true;

/**
 * Its stack knows nothing of the private VIP: it hears nothing from there, and says nothing there; ABORTs are
 * ours.
 */
function withScopes(endpoint: Cluster["endpoints"][number]): RawHost {
  endpoint.run(
    "nft",
    ["-f", "-"],
    `table ip scopes {
 chain input { type filter hook prerouting priority -300; ip saddr ${PRIVATE} ip protocol sctp drop; }
 chain output { type filter hook output priority -300; ip daddr ${PRIVATE} ip protocol sctp @th,96,8 != 6 drop; }
}
`,
  );
  return new RawHost(endpoint, { quiet: false });
}

/** RFC 9260 §8.4 rule 8, of what has come since. */
function answerOutOfTheBlue(raw: RawHost, from: number): number {
  raw.receive();
  for (const { outgoing, sctp, source, destination } of raw.heard.slice(from)) {
    if (outgoing || source !== PRIVATE || sctp === undefined) continue;
    const route = {
      source: destination,
      destination: source,
      sourcePort: sctp.destinationPort,
      destinationPort: sctp.sourcePort,
    } as const;
    raw.send(sctpPacket(route, sctp.verificationTag, [encodeAbort({ reflected: true })]), "core");
  }
  return raw.heard.length;
}

for (const fastPath of ["tc", "xdp", "userspace"] as const) {
  test(`${fastPath}: an endpoint that left the private VIP out, and a client that did, end no association`, async () => {
    const cluster = new Cluster({ clients: [2], vips: [PUBLIC, PRIVATE], fastPath });
    await played(cluster, async () => {
      const [endpoint] = cluster.endpoints;
      const [host] = cluster.clients;
      assert.ok(endpoint && host);
      await cluster.start();
      const [member] = cluster.members;
      assert.ok(member);
      const edge = await startCapture(cluster.lab, endpoint, "core", "sctp or icmp");
      await cluster.startEndpoint();
      const raw = withScopes(endpoint);
      const addresses = cluster.clientAddresses(0);
      const client = new ScriptedClient(new RawHost(host), {
        port: 36_412,
        servicePort: SERVICE_PORT,
        addresses,
        vips: cluster.vips,
      });
      await client.establish();
      let sacks = 0;
      const flows = async () => {
        client.sendData(Buffer.from("message"));
        await client.answer(CHUNK.SACK, { count: ++sacks });
      };
      await flows();
      // A client that left the private VIP out answers the endpoint's probe of it.
      client.send([encodeAbort({ reflected: true })], {
        from: addresses[0] as Address,
        to: PRIVATE,
        tag: client.tag,
      });
      await until(
        "the client's ABORT to be dropped",
        async () => (await member.drops("vip-not-accepted")) === 1,
      );
      await flows();

      let answered = raw.heard.length;
      for (let n = 1; n <= HEARTBEAT_COUNT; n++) {
        // The client was told both VIPs and probes the other path.
        client.send([encodeHeartbeat(Uint8Array.of(n, 0, 0, 0))], {
          from: addresses[1] as Address,
          to: PRIVATE,
        });
        await until(`ABORT ${n} of the endpoint to be dropped`, async () => {
          answered = answerOutOfTheBlue(raw, answered);
          return (await member.drops("vip-not-accepted")) > n;
        });
      }
      await flows();
      assert.deepEqual(client.answers(CHUNK.ABORT, client.peerTag), []);
      assert.deepEqual(client.answers(CHUNK.ABORT), []);

      await edge.flush();
      const reached = edge
        .packets()
        .filter((packet) => isReflected(packet) && cluster.vips.includes(packet.source));
      assert.deepEqual(
        reached.map(({ source }) => source),
        [],
      );
      assert.ok(
        edge.packets().some((packet) => isReflected(packet)) &&
          edge.packets().some((p) => hasChunk(p, CHUNK.SACK)),
      );

      // Where the handshake went the same word is believed: the endpoint has lost the association.
      const natPort = edge.packets().find((p) => hasChunk(p, CHUNK.DATA) && p.source === PUBLIC)
        ?.sctp?.sourcePort;
      const route = {
        source: endpoint.addresses("core")[0] as Address,
        destination: PUBLIC,
        sourcePort: SERVICE_PORT,
        destinationPort: natPort as number,
      } as const;
      raw.send(sctpPacket(route, client.peerTag, [encodeAbort({ reflected: true })]), "core");
      await client.answer(CHUNK.ABORT, { tag: client.peerTag });
      await edge.stop();
      const { items } = await member.get<{ items: { warnings: { code: string }[] }[] }>("/v1/services");
      assert.deepEqual(
        items[0]?.warnings.map(({ code }) => code),
        ["SERVICE_SCOPES_MIXED"],
      );
    });
  });
}

// What the network does to packets: errors, fragments, offload, header fields; and a lost last packet.
import assert from "node:assert/strict";
import { type Address, addressBytes } from "@holdfast/model";
import {
  CHUNK,
  encodeData,
  encodeHeartbeat,
  encodeShutdown,
  encodeShutdownComplete,
  verifyChecksum,
  write16,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import {
  type CapturedPacket,
  ENDPOINT_PORT,
  endpointGateway,
  type Host,
  hasChunk,
  icmpPacket,
  OffloadSocket,
  type Peer,
  RawHost,
  type ScriptedClient,
  sctpPacket,
  until,
} from "@holdfast/testkit";
import type { Context, StageOptions } from "../context.ts";
import type { Scenario } from "../scenario.ts";

const isV6 = (address: Address) => address.includes(":");

/** A lone member would keep the client's. */
const ANY_PORT: StageOptions = { service: { natPort: "any" } };

async function established(
  context: Context,
  options: StageOptions = {},
): Promise<{ client: ScriptedClient; server: Peer; endpoint: Address; natPort: number }> {
  await context.open({ clients: [2], ...options });
  const server = await context.cluster.startEndpoint();
  const client = context.scripted();
  client.behave();
  await client.establish();
  client.sendData(Buffer.from("first"));
  await client.answer(CHUNK.SACK);
  const v6 = isV6(context.cluster.vips[0] as Address);
  const endpoint = context.cluster.endpoints[0]?.addresses("core").find((a) => isV6(a) === v6) as Address;
  return { client, server, endpoint, natPort: (await context.session()).natPort as number };
}

async function stillAlive(client: ScriptedClient): Promise<void> {
  const count = client.answers(CHUNK.SACK).length + 1;
  client.sendData(Buffer.from("alive"));
  await client.answer(CHUNK.SACK, { count });
}

/** The packet in two or more IP fragments. */
function fragmentsOf(packet: Uint8Array, size: number): Uint8Array[] {
  const v6 = (packet[0] as number) >>> 4 === 6;
  const header = v6 ? 40 : 20;
  const payload = packet.subarray(header);
  const fragments: Uint8Array[] = [];
  for (let offset = 0; offset < payload.length; offset += size) {
    const part = payload.subarray(offset, offset + size);
    const more = offset + size < payload.length;
    if (v6) {
      // RFC 8200 §4.5
      const bytes = new Uint8Array([...packet.subarray(0, 40), 132, 0, 0, 0, 0, 0, 0x12, 0x34, ...part]);
      bytes[6] = 44;
      write16(bytes, 4, part.length + 8);
      write16(bytes, 42, offset | (more ? 1 : 0));
      fragments.push(bytes);
    } else {
      const bytes = new Uint8Array([...packet.subarray(0, 20), ...part]);
      write16(bytes, 2, bytes.length);
      write16(bytes, 4, 0x1234);
      write16(bytes, 6, (offset >> 3) | (more ? 0x2000 : 0));
      writeIpv4Checksum(bytes);
      fragments.push(bytes);
    }
  }
  return fragments;
}

export const network: readonly Scenario[] = [
  {
    number: 42,
    name: "ICMP packet-too-big about our packets",
    rfc: "9260 §10, 792, 4443 §3.2, 8899",
    done: "A router on the client's network reports an MTU of 1,280 for a packet from the VIP, with the right tag and with a wrong one; a router on the core network does the same for the other direction.",
    seen: "The right ones reach the other side, outer and inner addresses and ports translated; the wrong ones are dropped and counted.",
    everywhere: true,
    async run(context) {
      const { client, endpoint, natPort } = await established(context);
      const { addresses, vips, port, servicePort } = client.options;
      const [own, vip] = [addresses[0] as Address, vips[0] as Address];
      const v6 = isV6(vip);
      const router = context.cluster.stranger(254);
      const tooBig = (tag: number) => {
        const inner = sctpPacket(
          { source: vip, destination: own, sourcePort: servicePort, destinationPort: port },
          tag,
          [encodeData({ tsn: 1, data: Buffer.alloc(1_400) })],
        );
        const rest = new Uint8Array([
          ...(v6 ? [0, 0, 5, 0] : [0, 0, 5, 0]),
          ...inner.subarray(0, v6 ? 1_180 : 28),
        ]);
        const ends = { source: router, destination: vip } as const;
        client.raw.send(v6 ? icmpPacket(ends, 2, 0, rest) : icmpPacket(ends, 3, 4, rest));
      };
      await context.dropped(["icmp-unrelated"], 1, () => tooBig((client.tag ^ 1) >>> 0));
      const isError = (p: CapturedPacket) => p.protocol === (v6 ? 58 : 1) && p.payload[0] === (v6 ? 2 : 3);
      assert.equal((await context.atEndpoint()).filter(isError).length, 0);
      tooBig(client.tag);
      const error = await until(
        "the error at the endpoint",
        async () => (await context.atEndpoint()).find(isError),
        3_000,
      );
      const inner = Buffer.from(error.payload.subarray(8));
      const [source, destination] = v6 ? [8, 24] : [12, 16];
      const size = v6 ? 16 : 4;
      assert.equal(error.destination, endpoint);
      assert.ok(
        inner.subarray(source, (source as number) + size).equals(Buffer.from(addressBytes(endpoint))),
      );
      assert.ok(
        inner.subarray(destination, (destination as number) + size).equals(Buffer.from(addressBytes(vip))),
      );
      const header = v6 ? 40 : 20;
      assert.equal(inner.readUInt16BE(header), ENDPOINT_PORT);
      assert.equal(inner.readUInt16BE(header + 2), natPort);
      // And from the endpoint's side, about what goes there.
      const core = new RawHost(context.cluster.endpoints[0] as Host);
      const tooBigForCore = (tag: number) => {
        const refused = sctpPacket(
          { source: vip, destination: endpoint, sourcePort: natPort, destinationPort: ENDPOINT_PORT },
          tag,
          [encodeData({ tsn: 1, data: Buffer.alloc(1_400) })],
        );
        const rest = new Uint8Array([0, 0, 5, 0, ...refused.subarray(0, v6 ? 1_180 : 28)]);
        const { ipv4, ipv6 } = context.profile.coreStranger;
        const ends = { source: v6 ? ipv6 : ipv4, destination: vip } as const;
        core.send(v6 ? icmpPacket(ends, 2, 0, rest) : icmpPacket(ends, 3, 4, rest));
      };
      const atClient = async () =>
        (await context.atClient()).filter((p) => isError(p) && addresses.includes(p.destination));
      await context.dropped(["icmp-unrelated"], 1, () => tooBigForCore((client.peerTag ^ 1) >>> 0));
      assert.equal((await atClient()).length, 0);
      tooBigForCore(client.peerTag);
      const told = await until("the error at the client", async () => (await atClient())[0], 3_000);
      const about = Buffer.from(told.payload.subarray(8));
      assert.equal(told.source, vip);
      assert.ok(
        about.subarray(source, (source as number) + size).equals(Buffer.from(addressBytes(told.destination))),
      );
      assert.ok(
        about.subarray(destination, (destination as number) + size).equals(Buffer.from(addressBytes(vip))),
      );
      assert.equal(about.readUInt16BE(header), port);
      assert.equal(about.readUInt16BE(header + 2), servicePort);
      await stillAlive(client);
    },
  },
  {
    number: 43,
    name: "Fragmented DATA, with a port change",
    rfc: "9260 §6.9, 791, 8200 §4.5",
    done: "A DATA packet of 3,000 bytes arrives in three fragments, in order and in reverse.",
    seen: "The endpoint acknowledges it: reassembled, ports changed, checksum right.",
    everywhere: true,
    async run(context) {
      const { client, natPort } = await established(context, ANY_PORT);
      const { addresses, vips, port, servicePort } = client.options;
      assert.notEqual(natPort, port);
      for (const order of ["forward", "backward"]) {
        const count = client.answers(CHUNK.SACK).length + 1;
        const packet = sctpPacket(
          {
            source: addresses[0] as Address,
            destination: vips[0] as Address,
            sourcePort: port,
            destinationPort: servicePort,
          },
          client.peerTag,
          [
            encodeData({
              tsn: client.tsn,
              sequence: (client.tsn - client.tag) & 0xffff,
              data: Buffer.alloc(3_000, order),
            }),
          ],
          { dontFragment: false },
        );
        client.tsn = (client.tsn + 1) >>> 0;
        const fragments = fragmentsOf(packet, 1_400);
        assert.equal(fragments.length, 3);
        if (order === "backward") fragments.reverse();
        for (const fragment of fragments) client.raw.send(fragment);
        await client.answer(CHUNK.SACK, { count });
      }
      await stillAlive(client);
    },
  },
  {
    number: 45,
    name: "Checksum left to the hardware by the endpoint's stack",
    rfc: "9260 §6.8",
    done: "The endpoint's host hands over DATA with an empty checksum field and the mark of checksum offload; the ports change.",
    seen: "At the client the frame is still marked, or its checksum is right; the association's ports and addresses are translated.",
    families: ["ipv4", "ipv6"],
    async run(context) {
      const { client, endpoint, natPort } = await established(context, ANY_PORT);
      const { cluster } = context;
      const vip = cluster.vips[0] as Address;
      const host = cluster.endpoints[0];
      assert.ok(host);
      assert.notEqual(natPort, client.options.port);
      const hop = endpointGateway(context.profile, vip) ?? vip;
      const neighbours = JSON.parse(host.run("ip", ["-j", "neigh", "show", hop])) as { lladdr: string }[];
      const mac = (text: string) => text.split(":").map((part) => Number.parseInt(part, 16));
      const packet = sctpPacket(
        { source: endpoint, destination: vip, sourcePort: ENDPOINT_PORT, destinationPort: natPort },
        client.tag,
        [encodeHeartbeat(Buffer.from("offloaded heartbeat"))],
      );
      const sctp = 14 + (isV6(vip) ? 40 : 20);
      const type = isV6(vip) ? [0x86, 0xdd] : [0x08, 0x00];
      const frame = new Uint8Array([
        ...mac(neighbours[0]?.lladdr as string),
        ...mac(host.mac("core")),
        ...type,
        ...packet,
      ]);
      frame.fill(0, sctp + 8, sctp + 12);
      const listeners = ["path-a", "path-b"].map(
        (name) => new OffloadSocket(cluster.clients[0] as never, name),
      );
      new OffloadSocket(host, "core").sendPartial(frame, sctp);
      context.allowed.wrongChecksums = true;
      const arrived = await until("the frame at the client", () =>
        listeners.flatMap((l) => l.receive()).find(({ bytes }) => Buffer.from(bytes).includes("offloaded")),
      );
      assert.equal(Buffer.from(arrived.bytes).readUInt16BE(sctp + 2), client.options.port);
      if (!arrived.partial)
        assert.ok(verifyChecksum(arrived.bytes, sctp, 14 + packet.length), "marked, or right");
      await stillAlive(client);
    },
  },
  {
    number: 46,
    name: "DSCP, ECN and TTL",
    rfc: "3168 §5, 2474, 791, TS 38.412 §5",
    done: "HEARTBEATs with DSCP 46 and each ECN codepoint from either side; then one with TTL 1.",
    seen: "Traffic class unchanged and TTL one less at the other side, both ways; TTL 1 goes no further.",
    everywhere: true,
    async run(context) {
      const { client, endpoint, natPort } = await established(context);
      const core = new RawHost(context.cluster.endpoints[0] as Host);
      // Of the routers on the way, Holdfast itself not counted.
      const { hopCount, endpointHopCount } = context.profile;
      const backCount = hopCount + endpointHopCount;
      for (const ecn of [0, 1, 2, 3]) {
        const mark = `codepoint ${ecn}`;
        client.send([encodeHeartbeat(Buffer.from(mark))], {
          ip: { trafficClass: (46 << 2) | ecn, hopLimit: 61 },
        });
        const packet = await until(`${mark} at the endpoint`, async () =>
          (await context.atEndpoint()).find(
            (p) => Buffer.from(p.bytes).includes(mark) && hasChunk(p, CHUNK.HEARTBEAT),
          ),
        );
        assert.equal(packet.trafficClass, (46 << 2) | ecn);
        assert.equal(packet.ttl, 60 - hopCount);
        const back = `back, codepoint ${ecn}`;
        core.send(
          sctpPacket(
            {
              source: endpoint,
              destination: context.cluster.vips[0] as Address,
              sourcePort: ENDPOINT_PORT,
              destinationPort: natPort,
            },
            client.tag,
            [encodeHeartbeat(Buffer.from(back))],
            { trafficClass: (46 << 2) | ecn, hopLimit: 61 },
          ),
        );
        const returned = await until(`${back} at the client`, async () =>
          (await context.atClient()).find(
            (p) => Buffer.from(p.bytes).includes(back) && hasChunk(p, CHUNK.HEARTBEAT),
          ),
        );
        assert.equal(returned.trafficClass, (46 << 2) | ecn);
        assert.equal(returned.ttl, 60 - backCount);
      }
      const sent = (await context.atEndpoint()).findLast(
        (p) => hasChunk(p, CHUNK.HEARTBEAT_ACK) && !context.cluster.vips.includes(p.source),
      );
      const received = await until("the answer", async () =>
        (await context.atClient()).findLast(
          (p) => hasChunk(p, CHUNK.HEARTBEAT_ACK) && context.cluster.vips.includes(p.source),
        ),
      );
      assert.equal(received.ttl, (sent?.ttl ?? 0) - 1 - backCount);
      await context.dropped(
        ["ttl-expired"],
        1,
        () =>
          client.send([encodeHeartbeat(Buffer.from("too far"))], { ip: { hopLimit: 1 + hopCount } }) &&
          undefined,
      );
      assert.ok((await context.atEndpoint()).every((p) => !Buffer.from(p.bytes).includes("too far")));
      await stillAlive(client);
    },
  },
  {
    number: 47,
    name: "SHUTDOWN-COMPLETE is lost behind us",
    rfc: "9260 §8.5.1 C, §9.2",
    done: "The client shuts down; the endpoint's cable is cut while SHUTDOWN-COMPLETE passes; the endpoint retransmits SHUTDOWN-ACK.",
    seen: "It still reaches the client, and the client's SHUTDOWN-COMPLETE with the T bit the endpoint.",
    async run(context) {
      // The linger must outlast the endpoint's next retransmission.
      const { client, server } = await established(context, {
        configuration: { timers: { closedLingerS: 3 / context.timeScale } },
      });
      client.silence();
      client.send([encodeShutdown(client.peerTsn)]);
      const { heard } = await client.answer(CHUNK.SHUTDOWN_ACK);
      context.cluster.endpoints[0]?.cut("core");
      client.send([encodeShutdownComplete()]);
      await context.closed();
      const count = client.answers(CHUNK.SHUTDOWN_ACK).length;
      context.cluster.endpoints[0]?.heal("core");
      await client.answer(CHUNK.SHUTDOWN_ACK, { count: count + 1 });
      // The client has forgotten: it reflects the tag.
      client.send([encodeShutdownComplete({ reflected: true })], {
        tag: heard.sctp?.verificationTag as number,
      });
      await until("the endpoint to be done", () => server.count("shutdown") === 1);
    },
  },
];

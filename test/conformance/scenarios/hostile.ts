// Packets that lie: wrong tags, wrong sources, broken lengths, floods.

import assert from "node:assert/strict";
import { type Address, PROTOCOL_SCTP, systemRandom } from "@holdfast/model";
import {
  CHUNK,
  encodeAbort,
  encodeChunk,
  encodeData,
  encodeError,
  encodeInit,
  encodeParameter,
  encodeSack,
  encodeShutdownComplete,
  write16,
} from "@holdfast/sctp";
import {
  brief,
  type GeneratedFlow,
  generatePacket,
  hasChunk,
  type RawHost,
  type ScriptedClient,
  SERVICE_PORT,
  sctpPacket,
  until,
  wrongChecksumsOf,
} from "@holdfast/testkit";
import type { Context, StageOptions } from "../context.ts";
import type { Scenario } from "../scenario.ts";

const FLOOD_COUNT = 60_000;
/** Different sources, and from each so many ports. */
const FLOODER_COUNT = 12_000;
/** Of the newcomer: on a machine short of processor its INIT waits for seconds behind those of the flood. */
const INIT_RETRANS_MAX = 70;
const FUZZED_COUNT = 10_000;

/** A scripted client with an association that stands. */
async function established(context: Context, options: StageOptions = {}): Promise<ScriptedClient> {
  await context.open({ clients: [2], ...options });
  await context.cluster.startEndpoint();
  const client = context.scripted();
  client.behave();
  await client.establish();
  client.sendData(Buffer.from("first"));
  await client.answer(CHUNK.SACK);
  return client;
}

async function stillAlive(client: ScriptedClient): Promise<void> {
  const count = client.answers(CHUNK.SACK).length + 1;
  client.sendData(Buffer.from("alive"));
  await client.answer(CHUNK.SACK, { count });
}

/** Which chunk types arrived at the endpoint from the service. */
async function arrived(context: Context, type: number): Promise<number> {
  return (await context.atEndpoint()).filter(
    (p) => context.cluster.vips.includes(p.source) && hasChunk(p, type),
  ).length;
}

/** Hardware address behind a VIP or a gateway, as a host knows it. */
function neighbourMac(raw: RawHost, address: Address): string {
  const neighbours = JSON.parse(raw.host.run("ip", ["-j", "neigh", "show", address])) as {
    lladdr?: string;
  }[];
  const mac = neighbours[0]?.lladdr;
  assert.ok(mac, `${address} has no hardware address at ${raw.host.name}`);
  return mac;
}

function ethernet(destination: string, source: string, packet: Uint8Array): Uint8Array {
  const bytes = (mac: string) => mac.split(":").map((part) => Number.parseInt(part, 16));
  const type = (packet[0] as number) >>> 4 === 6 ? [0x86, 0xdd] : [0x08, 0x00];
  return new Uint8Array([...bytes(destination), ...bytes(source), ...type, ...packet]);
}

export const hostile: readonly Scenario[] = [
  {
    number: 37,
    name: "Wrong verification tags",
    rfc: "9260 §8.5, §8.5.1",
    done: "DATA, ABORT and SHUTDOWN-COMPLETE with wrong tags, and with the other side's tag, T bit set and not.",
    seen: "All are dropped and counted; none reaches the endpoint; the association lives.",
    everywhere: true,
    async run(context) {
      const client = await established(context);
      const before = await arrived(context, CHUNK.DATA);
      const forged: [Uint8Array, number][] = [
        [encodeData({ tsn: client.tsn, data: Buffer.from("forged") }), client.peerTag ^ 1],
        [encodeAbort(), client.peerTag ^ 1],
        [encodeAbort(), client.tag],
        [encodeAbort({ reflected: true }), client.peerTag],
        [encodeAbort({ reflected: true }), client.peerTag ^ 1],
        [encodeShutdownComplete(), client.tag],
        [encodeShutdownComplete({ reflected: true }), client.peerTag],
        [encodeError([]), client.peerTag ^ 1],
      ];
      await context.dropped(["wrong-tag", "wrong-phase"], forged.length, () => {
        for (const [chunk, tag] of forged) client.send([chunk], { tag: tag >>> 0 });
      });
      assert.equal(await arrived(context, CHUNK.DATA), before);
      for (const type of [CHUNK.ABORT, CHUNK.SHUTDOWN_COMPLETE, CHUNK.ERROR])
        assert.equal(await arrived(context, type), 0);
      await stillAlive(client);
      assert.equal((await context.session()).phase, "established");
    },
  },
  {
    number: 38,
    name: "ERROR and unknown chunks",
    rfc: "9260 §3.2, §3.3.10",
    done: "ERROR, and chunks of the unknown types 0x3f, 0x7f, 0xbf and 0xff, with the right tag.",
    seen: "All reach the endpoint; the association lives.",
    async run(context) {
      const client = await established(context);
      const cause = encodeParameter(1, new Uint8Array([0, 9, 0, 0]));
      client.send([encodeError([cause])]);
      for (const type of [0x3f, 0x7f, 0xbf, 0xff])
        client.send([encodeChunk(type, 0, Buffer.from("unknown!"))]);
      await until("all at the endpoint", async () => {
        const counts = await Promise.all(
          [CHUNK.ERROR, 0x3f, 0x7f, 0xbf, 0xff].map((type) => arrived(context, type)),
        );
        return counts.every((count) => count === 1);
      });
      await stillAlive(client);
      assert.equal((await context.session()).phase, "established");
    },
  },
  {
    number: 39,
    name: "ABORT behind a SACK",
    rfc: "9260 §3, §9.1",
    done: "The client sends SACK and ABORT in one packet.",
    seen: "The endpoint loses its association; the session is closed.",
    async run(context) {
      const client = await established(context);
      client.silence();
      client.send([encodeSack(client.peerTsn), encodeAbort()]);
      await until("ABORT at the endpoint", async () => (await arrived(context, CHUNK.ABORT)) === 1);
      await context.closed();
      assert.match((await context.sessions())[0]?.ended ?? "", /abort/i);
    },
  },
  {
    number: 40,
    name: "A flood of forged INITs",
    rfc: "9260 §5.1, §12.2.4.1",
    done: `${FLOOD_COUNT.toLocaleString("en")} INITs from random addresses and ports as fast as one process sends; meanwhile a genuine client connects.`,
    seen: "The established association loses no message; the newcomer comes up; the table of handshakes stays within its bounds.",
    limitMs: 90_000,
    async run(context) {
      await context.open({ clients: [2, 1, 1], flooding: [1] });
      const { cluster } = context;
      // The userspace path shares one event loop with the flood (docs/limits.md): its associations are to
      // outlive the flood, with the patience that RFC 9260 §16 gives stacks. In the kernel nothing may be
      // felt with a base station's timers.
      const patience =
        context.surroundings.fastPath === "userspace" && context.profile.name === "lab"
          ? { rtoInitial: 1_000, rtoMin: 1_000, rtoMax: 2_000, assocMaxRetrans: 10 }
          : {};
      const server = await cluster.startEndpoint(0, patience);
      const client = await cluster.startClient(0, { rate: 100, ...patience });
      await context.confirmed([client, server], 4);
      const flood = context.scripted(1);
      const random = systemRandom();
      const forged = () => {
        // Inside the client prefix, or the filter would refuse them before anything happens.
        const from = cluster.stranger(random.below(FLOODER_COUNT));
        flood.sendInit(
          { initiateTag: random.uint32() || 1, parameters: [] },
          { from, port: 1024 + random.below(60_000) },
        );
      };
      let newcomer: ReturnType<typeof cluster.startClient> | undefined;
      for (let sent = 0; sent < FLOOD_COUNT; sent++) {
        forged();
        if (sent === FLOOD_COUNT / 4)
          newcomer = cluster.startClient(2, { rate: 50, initMaxRetrans: INIT_RETRANS_MAX, ...patience });
        if (sent % 100 === 0) await new Promise(setImmediate);
      }
      const genuine = await newcomer;
      assert.ok(genuine);
      await genuine.established(1);
      const { body } = await context.member.fetch("GET", "/v1/metrics");
      const embryos = Number(/holdfast_slow_path_size\{table="embryos"\} (\d+)/.exec(body)?.[1]);
      assert.ok(embryos <= 32_768, `${embryos} embryos`);
      const dropped = [...(await context.drops()).values()].reduce((sum, count) => sum + count, 0);
      const carried = await arrived(context, CHUNK.INIT);
      assert.ok(dropped + carried >= FLOOD_COUNT / 4, `${dropped} dropped, ${carried} carried: no flood`);
      await context.flowing(server, 30);
      await context.intact([client, genuine], [server]);
    },
  },
  {
    number: 41,
    name: "The right tag from somebody else's address",
    rfc: "9260 §8.4, §5.1.2",
    done: "DATA and HEARTBEAT with the right tag from an address that the client never listed.",
    seen: "Both are dropped and counted, and never reach the endpoint; the association lives.",
    async run(context) {
      const client = await established(context);
      const stranger = context.cluster.stranger(66);
      const before = (await context.atEndpoint()).length;
      await context.dropped(["source-not-in-set", "no-session"], 2, () => {
        client.send([encodeData({ tsn: client.tsn, data: Buffer.from("stranger") })], { from: stranger });
        client.send([encodeChunk(CHUNK.HEARTBEAT, 0, Buffer.from("stranger"))], { from: stranger });
      });
      const fresh = (await context.atEndpoint()).slice(before);
      assert.ok(fresh.every((p) => !Buffer.from(p.bytes).includes("stranger")));
      await stillAlive(client);
    },
  },
  {
    number: 44,
    name: "A corrupt checksum is not blessed",
    rfc: "9260 §6.8",
    done: "DATA with one bit of the checksum wrong, and with one bit of the payload wrong.",
    seen: "What reaches the endpoint is as corrupt as before; it does not acknowledge; the right DATA passes.",
    everywhere: true,
    async run(context) {
      context.allowed.wrongChecksums = true;
      const client = await established(context);
      const { addresses, vips, port, servicePort } = client.options;
      const count = client.answers(CHUNK.SACK).length;
      for (const index of [8, 40]) {
        const packet = sctpPacket(
          {
            source: addresses[0] as Address,
            destination: vips[0] as Address,
            sourcePort: port,
            destinationPort: servicePort,
          },
          client.peerTag,
          [encodeData({ tsn: client.tsn, data: Buffer.from("corrupt, corrupt, corrupt") })],
        );
        const at = (packet[0] as number) >>> 4 === 6 ? 40 + index : 20 + index;
        packet[at] = (packet[at] as number) ^ 0x10;
        client.raw.send(packet);
      }
      await stillAlive(client);
      // The right one only: neither of the corrupt ones was taken for a message.
      assert.equal(client.answers(CHUNK.SACK).length, count + 1);
      const corrupt = (await context.atEndpoint()).filter((p) => Buffer.from(p.bytes).includes("corrupt, "));
      assert.equal(wrongChecksumsOf(corrupt).length, corrupt.length);
    },
  },
  {
    number: 49,
    name: "Packets with broken lengths",
    rfc: "9260 §3.2, §8.4",
    done: `${FUZZED_COUNT.toLocaleString("en")} generated frames around a living association's addresses (wrong tags, broken lengths, fragments, options, damage), and INITs with parameter lengths around every boundary.`,
    seen: "The daemon lives; the association loses nothing; a new one comes up.",
    async run(context) {
      // What nobody knows is told so (RFC 9260 §8.4), in bounds; what lives is told nothing.
      context.allowed.ownAborts = true;
      await context.open({ clients: [2, 1], flooding: [1] });
      const { cluster } = context;
      const server = await cluster.startEndpoint();
      const client = await cluster.startClient(0, { rate: 50 });
      await context.confirmed([client, server], 4);
      const attacker = context.scripted(1);
      // A first genuine packet, so that the VIP's hardware address is known.
      await attacker.init();
      const { natPort } = (await context.sessions()).find(({ phase }) => phase === "established") ?? {};
      const [source, destination] = [cluster.clientAddresses(0)[0] as Address, cluster.vips[0] as Address];
      const flow: GeneratedFlow = {
        key: {
          protocol: PROTOCOL_SCTP,
          source,
          destination,
          sourcePort: 36_412,
          destinationPort: SERVICE_PORT,
        },
        newSource: destination,
        newDestination: source,
        newSourcePort: natPort ?? 1,
        newDestinationPort: SERVICE_PORT,
        // Not the association's: what carries the right tag may do what it says.
        tag: 0x1bad_1bad,
        direction: "up",
        pending: false,
        heartbeatOnly: false,
        learn: false,
        session: 1,
      };
      const world = {
        local: [
          { address: destination, owned: true, ports: [{ protocol: PROTOCOL_SCTP, port: SERVICE_PORT }] },
        ],
        endpoints: [],
        flows: [flow],
      };
      const random = systemRandom();
      const [vip, own] = [
        neighbourMac(attacker.raw, cluster.neighbourOf(destination, "path-a")),
        attacker.raw.host.mac("path-a"),
      ];
      for (let n = 0; n < FUZZED_COUNT; n++) {
        const frame = ethernet(vip, own, n % 5 === 0 ? brokenInit() : generatePacket(random, world).bytes);
        // Longer than the wire's MTU cannot be sent.
        if (frame.length <= 1_514) attacker.raw.sendFrame("path-a", frame);
        if (n % 50 === 0) await new Promise(setImmediate);
      }
      await context.flowing(server);
      await context.intact([client], [server]);
      const told = (await context.atClient()).filter((p) => hasChunk(p, CHUNK.ABORT));
      assert.deepEqual(told.filter((p) => p.sctp?.destinationPort === 36_412).map(brief), []);
      const late = context.scripted(1, { port: 39_000 });
      late.behave();
      await late.establish();

      function brokenInit(): Uint8Array {
        const parameters = [
          encodeParameter(5, random.bytes(4)),
          encodeParameter(random.below(65_536), random.bytes(random.below(24))),
        ];
        const chunk = encodeInit({ initiateTag: random.uint32() || 1, parameters });
        const lengths = [0, 1, 3, 4, 5, 8, 19, 20, 0xffff, random.below(65_536)];
        write16(
          chunk,
          [2, 22, 30][random.below(3)] as number,
          lengths[random.below(lengths.length)] as number,
        );
        const size = random.below(3) === 0 ? random.below(chunk.length) : chunk.length;
        const from = attacker.options.addresses[0] as Address;
        return sctpPacket(
          { source: from, destination, sourcePort: 1 + random.below(65_535), destinationPort: SERVICE_PORT },
          0,
          [chunk.subarray(0, size)],
        );
      }
    },
  },
];

import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes } from "@holdfast/model";
import {
  CHUNK,
  encodeAbort,
  encodeAddress,
  encodeChunk,
  encodeCookieAck,
  encodeData,
  encodeError,
  encodeHeartbeat,
  encodeInit,
  encodeParameter,
  encodeSack,
  encodeShutdown,
  encodeShutdownAck,
  encodeShutdownComplete,
  write16,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import { hasChunk, ipPacket, SERVICE_PORT, sctpPacket } from "@holdfast/testkit";
import { dropped, drops, NEWCOMER, scripted, stolen, underAttack } from "./attack.ts";

/** Everything that could end an association or get into it. */
const FORGERIES: readonly (readonly [string, Uint8Array])[] = [
  ["ABORT", encodeAbort()],
  ["ABORT, T bit", encodeAbort({ reflected: true })],
  ["SHUTDOWN", encodeShutdown(1)],
  ["SHUTDOWN-ACK", encodeShutdownAck()],
  ["SHUTDOWN-COMPLETE", encodeShutdownComplete()],
  ["SHUTDOWN-COMPLETE, T bit", encodeShutdownComplete({ reflected: true })],
  ["ERROR, stale cookie", encodeError([encodeParameter(3, new Uint8Array(4))])],
  ["DATA", encodeData({ tsn: 1, data: Uint8Array.of(1, 2, 3) })],
  ["COOKIE-ACK", encodeCookieAck()],
  ["HEARTBEAT", encodeHeartbeat(Uint8Array.of(1, 2, 3, 4))],
];

/** Why a forgery may be dropped, by how far it gets. */
const REFUSALS = [
  "wrong-tag",
  "bad-bundling",
  "source-not-in-set",
  "no-session",
  "no-candidate",
  "wrong-phase",
  "held-too-many",
] as const;

/**
 * INITs in the ring are read in their order, whatever is said again behind them: where members are short of
 * processor that takes seconds, and a telecom stack would have given up after three and a half.
 */
const INIT_RETRANS_MAX = 70;

test("an attacker beside a living association", async (t) => {
  await underAttack({}, async (attack) => {
    const { scene, raw, own, victim, primary } = attack;
    const { tag, reflected, port } = stolen(attack);
    const from = (source: Address) => ({
      source,
      destination: primary,
      sourcePort: port,
      destinationPort: SERVICE_PORT,
    });
    await t.test("forged ends and data from the client's own address, with every tag but the right one", () =>
      dropped(scene, REFUSALS, FORGERIES.length * 2, () => {
        for (const [, chunk] of FORGERIES)
          for (const guess of [tag ^ 1, reflected ^ 0x8000_0000, 0x1234_5678])
            raw.send(sctpPacket(from(victim), guess >>> 0, [encodeSack(1), chunk]), "path-a");
      }),
    );
    await t.test(
      "the T bit with the tag that the other side uses, and no T bit with the reflected one",
      // RFC 9260 §8.5.1: with the T bit the tag is the receiver's peer's; without it the receiver's own.
      () =>
        dropped(scene, REFUSALS, 4, async () => {
          for (const chunk of [encodeAbort(), encodeShutdownComplete()])
            raw.send(sctpPacket(from(victim), reflected, [chunk]), "path-a");
          for (const chunk of [encodeAbort({ reflected: true }), encodeShutdownComplete({ reflected: true })])
            raw.send(sctpPacket(from(victim), tag, [chunk]), "path-a");
          await scene.flowing(10);
        }),
    );
    await t.test("the right tag from an address that the association does not have", () =>
      dropped(scene, REFUSALS, FORGERIES.length - 2, () => {
        for (const [name, chunk] of FORGERIES)
          raw.send(sctpPacket(from(own), name.includes("T bit") ? reflected : tag, [chunk]), "path-a");
      }),
    );
    await t.test("a forged restart from the client's address kills nothing", async () => {
      const listed = [victim, own].map((address) => encodeAddress(addressBytes(address)));
      for (const parameters of [[], listed.slice(0, 1)])
        raw.send(
          sctpPacket(from(victim), 0, [
            encodeInit({ initiateTag: 0x7700_0000 + parameters.length, parameters }),
          ]),
          "path-a",
        );
      await scene.flowing(20);
      assert.equal((await scene.servers[0]?.serverFigures())?.restarts, 0);
    });
    await t.test("a list full of other people's addresses: none is taken", async () => {
      const foreign: readonly Address[] = [
        ...scene.cluster.vips,
        ...(scene.cluster.endpoints[0]?.addresses("core") ?? []),
        scene.cluster.members[0]?.host.addresses("path-a")[0] as Address,
        scene.cluster.members[0]?.host.addresses("core")[0] as Address,
        "127.0.0.1",
        "224.0.0.1",
        "239.1.2.3",
        "255.255.255.255",
        "0.0.0.0",
        "169.254.1.1",
        "::1",
        "ff02::1",
        "fe80::1",
      ];
      const client = scripted(attack, 41_001);
      client.behave();
      const parameters = [own, ...foreign].map((address) => encodeAddress(addressBytes(address)));
      await client.establish({ parameters });
      const session = (await scene.sessions()).find(({ clientPort }) => clientPort === 41_001);
      assert.deepEqual(session?.clients, [own]);
      client.sendData(Buffer.from("hello"));
      await client.answer(CHUNK.SACK);
    });
    await t.test("a listed address that never spoke gets HEARTBEATs at most, and few", async () => {
      const client = scripted(attack, 41_002, [own, victim]);
      client.behave();
      await client.establish();
      const sinceMs = Date.now();
      for (let n = 0; n < 50; n++) client.sendData(Buffer.from(`${n}`));
      // The victim's own stack may refuse what it never asked for; its ABORT is right, and ends this
      // association.
      await scene.flowing(50);
      const reflectedPackets = scene.atClients
        .flatMap((capture) => capture.packets())
        .filter((p) => p.destination === victim && p.sctp?.destinationPort === 41_002);
      const others = reflectedPackets.filter((p) => !hasChunk(p, CHUNK.HEARTBEAT));
      assert.deepEqual(
        others.map((p) => p.sctp?.chunks.map(({ type }) => type)),
        [],
      );
      const seconds = (Date.now() - sinceMs) / 1_000 + 2;
      // Three VIPs' worth of HEARTBEATs, each twice a second, and their first retries.
      assert.ok(
        reflectedPackets.length <= 3 * (3 * seconds + 6),
        `${reflectedPackets.length} in ${seconds} s`,
      );
    });
    await t.test("fragments that overlap, and more than anybody may leave waiting", async () => {
      const whole = sctpPacket(from(victim), tag, [encodeData({ tsn: 1, data: new Uint8Array(400) })]);
      const piece = (id: number, offset: number, size: number, more: boolean) => {
        const packet = ipPacket(
          { source: victim, destination: primary },
          whole.slice(20 + offset, 20 + offset + size),
          { identification: id },
        );
        write16(packet, 6, (offset >>> 3) | (more ? 0x2000 : 0));
        writeIpv4Checksum(packet);
        return packet;
      };
      await dropped(scene, ["fragment-overlap"], 10, () => {
        for (let id = 1; id <= 10; id++) {
          raw.send(piece(id, 0, 200, true), "path-a");
          raw.send(piece(id, 96, 200, true), "path-a");
        }
      });
      const memory = () => scene.anyMember().metric("holdfast_slow_path_size");
      const before = await memory();
      for (let id = 100; id < 5_000; id++) raw.send(piece(id, 0, 64, true), "path-a");
      await scene.flowing(20);
      assert.ok((await memory()) <= before + 1_024 + 64 * 1_024 * 64);
    });
    await t.test("INITs without an INIT in them, and every chunk that may not begin anything", async () => {
      const every = [...(await drops(scene)).keys()];
      await dropped(scene, every, 250, async () => {
        for (let type = 0; type < 256; type++)
          raw.send(sctpPacket({ ...from(own), sourcePort: 42_000 }, 0, [encodeChunk(type, 0)]), "path-a");
        await scene.flowing(10);
      });
    });
    await t.test(
      "INITs from the attacker's own address and from everybody's: newcomers still get in",
      async () => {
        const inits = 6_000;
        for (let n = 0; n < inits; n++) {
          const source: Address = n % 2 === 0 ? own : `198.18.${64 + (n >>> 8)}.${n & 255}`;
          const ends = { ...from(source), sourcePort: 1_024 + (n % 60_000) };
          raw.send(sctpPacket(ends, 0, [encodeInit({ initiateTag: 0x0100_0000 + n })]), "path-a");
        }
        const client = await scene.cluster.startClient(NEWCOMER, {
          port: 50_000,
          id: 500,
          rate: 20,
          size: 100,
          initMaxRetrans: INIT_RETRANS_MAX,
        });
        await client.established(1);
        scene.clients.push(client);
        await scene.flowing(20);
        const counted = await scene.anyMember().metric("holdfast_slow_path_events_total");
        assert.ok(counted > 1_000, `${counted} events`);
      },
    );
  });
});

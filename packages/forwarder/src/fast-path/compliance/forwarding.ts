// Packets of installed flows: where they go, and that only what must change changes.
import assert from "node:assert/strict";
import {
  encodeAbort,
  encodeChunk,
  encodeData,
  encodeHeartbeat,
  encodeHeartbeatAck,
  encodeSack,
  IpHeader,
  readChecksum,
  storeChecksum,
  write16,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import { echoReply } from "../answer/echo.ts";
import type { WithRig } from "../compliance.ts";
import type { Flow } from "../port.ts";
import { echoRequest } from "./icmp.ts";
import { hex, type KeptPunt, type Rig, recordPunts, total, until } from "./rig.ts";
import {
  arriving,
  CORE_MTU,
  downFlow,
  FAMILIES,
  IPV4,
  leaving,
  SESSION,
  type Side,
  upFlow,
  type WorldFamily,
} from "./world.ts";

const data = (size: number) => encodeData({ tsn: 7, data: new Uint8Array(size).fill(0x61) });
const heartbeat = encodeHeartbeat(Uint8Array.of(1, 2, 3, 4));
/** Chunks of four bytes that nobody knows. */
const many = (count: number) => Array<Uint8Array>(count).fill(encodeChunk(0x84, 0));
const heartbeatAck = encodeHeartbeatAck(Uint8Array.of(1, 2, 3, 4));

/** Injects and expects exactly this on the other side, next. */
async function expectForward(rig: Rig, from: Side, packet: Uint8Array, expected: Uint8Array): Promise<void> {
  const to: Side = from === "client" ? "core" : "client";
  const count = rig.received(to).length;
  rig.inject(from, packet);
  await until("a forwarded packet", () => rig.received(to).length > count);
  assert.equal(hex(rig.received(to)[count]), hex(expected));
}

/** Injects and expects one more of a total, and nothing on either side. */
async function expectDrop(rig: Rig, from: Side, packet: Uint8Array, reason: string): Promise<void> {
  const before = total(rig.fastPath, `drop.${reason}`);
  const counts = [rig.received("client").length, rig.received("core").length];
  rig.inject(from, packet);
  await until(`drop.${reason}`, () => total(rig.fastPath, `drop.${reason}`) === before + 1);
  assert.deepEqual([rig.received("client").length, rig.received("core").length], counts);
}

export function describeForwarding(withRig: WithRig): void {
  for (const family of FAMILIES) describeFamily(withRig, family);

  withRig("equal ports: the checksum is not touched", async (rig) => {
    const flow = upFlow(IPV4, { newSourcePort: 36_000, newDestinationPort: 38_412 });
    assert.ok(rig.fastPath.install(flow));
    await expectForward(rig, "client", arriving(flow, [data(5)]), leaving(flow, [data(5)]));
  });

  withRig("an IPv4 packet with options keeps them", async (rig) => {
    const flow = upFlow(IPV4);
    assert.ok(rig.fastPath.install(flow));
    await expectForward(
      rig,
      "client",
      withOptions(arriving(flow, [data(5)])),
      withOptions(leaving(flow, [data(5)])),
    );
  });
}

function describeFamily(withRig: WithRig, family: WorldFamily): void {
  const up = upFlow(family);
  const down = downFlow(family);
  const name = (text: string) => `${family.name}: ${text}`;

  withRig(name("both directions are translated; nothing else changes, at any size"), async (rig) => {
    assert.ok(rig.fastPath.install(up) && rig.fastPath.install(down));
    for (const size of [1, 2, 3, 4, 100, 1_000, 1_400]) {
      await expectForward(rig, "client", arriving(up, [data(size)]), leaving(up, [data(size)]));
      await expectForward(rig, "core", arriving(down, [data(size)]), leaving(down, [data(size)]));
    }
    const bundle = [encodeSack(1), heartbeatAck, encodeChunk(0x3f, 0, new Uint8Array(5)), data(40)];
    await expectForward(rig, "client", arriving(up, bundle), leaving(up, bundle));
    const counters = rig.fastPath.counters(down.key);
    assert.equal(counters?.packets, 7);
  });

  withRig(name("a wrong checksum stays wrong by the same bits"), async (rig) => {
    assert.ok(rig.fastPath.install(up));
    const packet = damaged(arriving(up, [data(64)]));
    await expectForward(rig, "client", packet, damaged(leaving(up, [data(64)])));
  });

  withRig(name("replies go to the address last heard, path packets to the paired one"), async (rig) => {
    const flow: Flow = downFlow(family, { replyDestination: family.client2 });
    assert.ok(rig.fastPath.install(flow));
    const cases: [Uint8Array[], boolean][] = [
      [[encodeSack(1)], true],
      [[heartbeatAck], true],
      [[encodeSack(1), data(9)], false],
      [[heartbeat], false],
      [[encodeChunk(0xc0, 0, new Uint8Array(4)), encodeSack(1)], false],
      [[encodeChunk(0x82, 0, new Uint8Array(4))], false],
    ];
    for (const [chunks, reply] of cases) {
      const to = reply ? family.client2 : family.client;
      await expectForward(rig, "core", arriving(flow, chunks), leaving(flow, chunks, { to }));
    }
  });

  withRig(
    name("for an unverified address there are HEARTBEATs only, and the slow path has those"),
    async (rig) => {
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      const expectProbe = async (packet: Uint8Array) => {
        const [count, sent] = [punts.length, rig.received("client").length];
        rig.inject("core", packet);
        await until("a probe", () => punts.length > count);
        const { reason, session, copy } = punts[count] as KeptPunt;
        assert.deepEqual(
          [reason, session, copy, hex(punts[count]?.packet)],
          ["probe", SESSION, false, hex(packet)],
        );
        assert.equal(rig.received("client").length, sent);
      };
      const alone = downFlow(family, { heartbeatOnly: true });
      assert.ok(rig.fastPath.install(alone));
      await expectProbe(arriving(alone, [heartbeat]));
      for (const chunks of [[data(1)], [encodeSack(1)], [heartbeat, data(1)]]) {
        await expectDrop(rig, "core", arriving(alone, chunks), "unverified-destination");
      }
      const flow = downFlow(family, { heartbeatOnly: true, replyDestination: family.client2 });
      assert.ok(rig.fastPath.install(flow));
      await expectProbe(arriving(flow, [heartbeat, heartbeat]));
      for (const chunks of [[data(1)], [encodeSack(1)], [heartbeat, data(1)]]) {
        await expectForward(
          rig,
          "core",
          arriving(flow, chunks),
          leaving(flow, chunks, { to: family.client2 }),
        );
      }
    },
  );

  withRig(
    name("a wrong tag, an unserved port and other protocols are dropped, and the host is silent"),
    async (rig) => {
      assert.ok(rig.fastPath.install(up));
      await expectDrop(rig, "client", arriving(up, [data(1)], { tag: 1 }), "wrong-tag");
      const stranger = upFlow(family, { key: { ...up.key, destinationPort: 9 } });
      await expectDrop(rig, "client", arriving(stranger, [data(1)]), "port-not-served");
      const gre = arriving(up, [data(1)]);
      gre[family.name === "IPv4" ? 9 : 6] = 47;
      await expectDrop(rig, "client", fixed(gre), "not-sctp");
      // Had the host answered, its answer would be out by now: this one goes the same way behind it.
      await expectForward(rig, "client", arriving(up, [data(1)]), leaving(up, [data(1)]));
      assert.equal(rig.received("client").length, 0);
    },
  );

  withRig(name("broken chunks are dropped by reason"), async (rig) => {
    assert.ok(rig.fastPath.install(up));
    const cases: [Uint8Array[], string][] = [
      [[], "no-chunk"],
      [[Uint8Array.of(0, 0, 0, 3)], "chunk-too-short"],
      [[Uint8Array.of(0, 0, 0, 5)], "chunk-overrun"],
      // Behind however many sound ones.
      [[...many(200), Uint8Array.of(0, 0, 0, 3)], "chunk-too-short"],
      [[...many(200), Uint8Array.of(0, 0, 0, 5)], "chunk-overrun"],
    ];
    for (const [chunks, reason] of cases) await expectDrop(rig, "client", arriving(up, chunks), reason);
  });

  withRig(
    name("a packet may have as many chunks as fit, and what stands behind them counts"),
    async (rig) => {
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      const flow = downFlow(family, { replyDestination: family.client2 });
      assert.ok(rig.fastPath.install(up) && rig.fastPath.install(flow));
      for (const count of [63, 64, 65, 128, 129, 300]) {
        await expectForward(rig, "client", arriving(up, many(count)), leaving(up, many(count)));
        // The last chunk makes it a path packet.
        const probe = [...many(count), heartbeat];
        const to = { to: family.client2 };
        await expectForward(rig, "core", arriving(flow, many(count)), leaving(flow, many(count), to));
        await expectForward(rig, "core", arriving(flow, probe), leaving(flow, probe));
        const last = [...many(count), encodeAbort()];
        const before = punts.length;
        rig.inject("client", arriving(up, last));
        await until(`an ABORT behind ${count} chunks`, () => punts.length > before);
        assert.deepEqual([punts[before]?.reason, punts[before]?.session], ["control", SESSION]);
      }
    },
  );

  withRig(name("what cannot leave is punted: no next hop, too big, hop limit used up"), async (rig) => {
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    const cases: [Flow, Uint8Array[], number, string][] = [
      [upFlow(family, { newDestination: family.nowhere }), [data(1)], 64, "noNextHop"],
      [up, [data(CORE_MTU)], 64, "tooBig"],
      [up, [data(1)], 1, "ttlExpired"],
    ];
    for (const [flow, chunks, hopLimit, reason] of cases) {
      assert.ok(rig.fastPath.install(flow));
      const packet = arriving(flow, chunks, { hopLimit });
      const count = punts.length;
      rig.inject("client", packet);
      await until(`a punt for ${reason}`, () => punts.length > count);
      assert.deepEqual([punts[count]?.reason, punts[count]?.session], [reason, flow.session]);
      assert.equal(hex(punts[count]?.packet), hex(packet));
    }
    await expectForward(
      rig,
      "client",
      arriving(up, [data(1)], { hopLimit: 2 }),
      leaving(up, [data(1)], { hopLimit: 2 }),
    );
    assert.equal(rig.received("core").length, 1);
  });

  withRig(name("a ping to an owned VIP is answered, one to another's is not"), async (rig) => {
    const ping = echoRequest(family.client, family.vip);
    rig.inject("client", ping);
    await until("the reply", () => rig.received("client").length === 1);
    assert.equal(hex(rig.received("client")[0]), hex(echoReply(ping, ping.length)));
    await expectDrop(rig, "client", echoRequest(family.client, family.otherVip), "not-owned");
  });
}

/** Some bits of the SCTP checksum turned over. */
function damaged(packet: Uint8Array): Uint8Array {
  const header = new IpHeader();
  header.read(packet);
  storeChecksum(packet, header.payloadOffset, readChecksum(packet, header.payloadOffset) ^ 0x8000_0421);
  return packet;
}

function fixed(packet: Uint8Array): Uint8Array {
  if ((packet[0] as number) >>> 4 === 4) writeIpv4Checksum(packet);
  return packet;
}

/** Eight bytes of NOP options. */
function withOptions(packet: Uint8Array): Uint8Array {
  const out = new Uint8Array(packet.length + 8).fill(1);
  out.set(packet.subarray(0, 20));
  out.set(packet.subarray(20), 28);
  out[0] = 0x47;
  write16(out, 2, out.length);
  writeIpv4Checksum(out);
  return out;
}

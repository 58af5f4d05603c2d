// Packets that are the slow path's business.
import assert from "node:assert/strict";
import {
  CHUNK,
  encodeAbort,
  encodeChunk,
  encodeCookieAck,
  encodeCookieEcho,
  encodeData,
  encodeError,
  encodeInit,
  encodeInitAck,
  encodeSack,
  encodeShutdown,
  encodeShutdownAck,
  encodeShutdownComplete,
  internetChecksum,
} from "@holdfast/sctp";
import { fragmentPacket } from "../../fragments/fragmentation.ts";
import type { WithRig } from "../compliance.ts";
import type { Flow } from "../port.ts";
import { icmpMessage } from "./icmp.ts";
import { hex, type KeptPunt, type Rig, recordPunts, until } from "./rig.ts";
import { arriving, downFlow, FAMILIES, IPV4, leaving, type Side, upFlow, type WorldFamily } from "./world.ts";

const data = encodeData({ tsn: 1, data: new Uint8Array(10) });
const sack = encodeSack(1);

async function expectPunt(
  rig: Rig,
  punts: readonly KeptPunt[],
  side: Side,
  packet: Uint8Array,
  expected: Partial<KeptPunt>,
): Promise<void> {
  const count = punts.length;
  rig.inject(side, packet);
  await until(`a punt: ${expected.reason}`, () => punts.length > count);
  const punt = punts[count] as KeptPunt;
  assert.equal(hex(punt.packet), hex(packet));
  const { reason, session, interfaceIndex, copy, checksumPartial } = punt;
  assert.deepEqual(
    { reason, session, interfaceIndex, copy, checksumPartial },
    { session: 0, interfaceIndex: rig.interfaces[side], copy: false, checksumPartial: false, ...expected },
  );
  assert.ok(punt.timeMs <= rig.fastPath.nowMs());
}

export function describePunts(withRig: WithRig): void {
  for (const family of FAMILIES) describeFamily(withRig, family);

  withRig("nothing is punted before start, nothing is lost, and the order stays", async (rig) => {
    const punts = recordPunts(rig.fastPath);
    const flows = [1, 2, 3].map((sourcePort) => upFlow(IPV4, { key: { ...upFlow(IPV4).key, sourcePort } }));
    for (const flow of flows)
      rig.inject("client", arriving(flow, [encodeInit({ initiateTag: 5 })], { tag: 0 }));
    await until("the fast path to see them", () => rig.fastPath.totals().get("punt.init") === 3);
    assert.equal(punts.length, 0);
    rig.fastPath.start();
    await until("three punts", () => punts.length === 3);
    assert.deepEqual(
      punts.map((punt) => punt.packet[21]),
      [1, 2, 3],
    );
  });

  withRig("a fragment is punted, also a later one that shows no ports", async (rig) => {
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    const packet = arriving(upFlow(IPV4), [data]);
    for (const word of [0x2000, 0x0010]) {
      const fragment = packet.slice();
      fragment[6] = word >>> 8;
      fragment[7] = word & 0xff;
      fragment.set(headerChecksum(fragment), 10);
      await expectPunt(rig, punts, "client", fragment, { reason: "fragment" });
    }
  });
}

function describeFamily(withRig: WithRig, family: WorldFamily): void {
  const up = upFlow(family);
  const down = downFlow(family);
  const name = (text: string) => `${family.name}: ${text}`;

  withRig(
    name("chunks of the slow path are punted with the flow's session and not forwarded"),
    async (rig) => {
      const punts = recordPunts(rig.fastPath);
      rig.fastPath.start();
      assert.ok(rig.fastPath.install(up) && rig.fastPath.install(down));
      const cases: [KeptPunt["reason"], Uint8Array[]][] = [
        ["init", [encodeInit({ initiateTag: 1 })]],
        ["initAck", [encodeInitAck({ initiateTag: 1 })]],
        ["handshake", [encodeCookieEcho(new Uint8Array(40)), data]],
        ["handshake", [encodeCookieAck(), sack]],
        ["control", [encodeAbort()]],
        ["control", [encodeAbort({ reflected: true })]],
        ["control", [encodeShutdown(1)]],
        ["control", [encodeShutdownAck()]],
        ["control", [encodeShutdownComplete({ reflected: true })]],
        ["control", [encodeError([])]],
        ["asconf", [encodeChunk(CHUNK.ASCONF, 0, new Uint8Array(12))]],
        ["asconf", [encodeChunk(CHUNK.ASCONF_ACK, 0, new Uint8Array(4))]],
        // Anywhere in the packet, not only first.
        ["control", [sack, encodeAbort()]],
        ["control", [sack, data, encodeError([]), encodeCookieAck()]],
      ];
      for (const [reason, chunks] of cases) {
        const session = up.session;
        // Whatever the tag says: the slow path knows what the T bit means.
        await expectPunt(rig, punts, "client", arriving(up, chunks, { tag: 9 }), { reason, session });
        await expectPunt(rig, punts, "core", arriving(down, chunks), { reason, session });
      }
      rig.inject("client", arriving(up, [data]));
      await until("the sentinel", () => rig.received("core").length > 0);
      assert.equal(hex(rig.received("core")[0]), hex(leaving(up, [data])));
      assert.equal(rig.received("client").length, 0);
    },
  );

  withRig(name("without a flow: served ports and endpoints are punted"), async (rig) => {
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    await expectPunt(rig, punts, "client", arriving(up, [data]), { reason: "miss" });
    await expectPunt(rig, punts, "core", arriving(down, [data]), { reason: "miss" });
    const init = [encodeInit({ initiateTag: 1 })];
    await expectPunt(rig, punts, "client", arriving(up, init, { tag: 0 }), { reason: "init" });
    await expectPunt(rig, punts, "client", arriving(up, [encodeCookieEcho(new Uint8Array(8))]), {
      reason: "handshake",
    });
    // From an address of the endpoint that nobody has heard of yet.
    const alias: Flow = downFlow(family, { key: { ...down.key, source: family.client2, sourcePort: 5 } });
    await expectPunt(rig, punts, "core", arriving(alias, [encodeInitAck({ initiateTag: 1 })]), {
      reason: "initAck",
    });
    // A session's endpoint may have told of an address that nobody configured; with another port it is nobody's.
    const told: Flow = downFlow(family, { key: { ...down.key, source: family.client2 } });
    await expectPunt(rig, punts, "core", arriving(told, [data]), { reason: "miss" });
    rig.inject("core", arriving(alias, [data]));
    await until("the drop", () => (rig.fastPath.totals().get("drop.port-not-served") ?? 0) > 0);
  });

  withRig(name("while a generation is pending, a wrong tag is punted"), async (rig) => {
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    assert.ok(rig.fastPath.install({ ...up, pending: true }));
    const { session } = up;
    await expectPunt(rig, punts, "client", arriving(up, [data], { tag: 3 }), { reason: "wrongTag", session });
    assert.equal(rig.received("core").length, 0);
  });

  withRig(name("a flow to learn from forwards, and punts a copy of the packet as it came"), async (rig) => {
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    assert.ok(rig.fastPath.install({ ...up, learn: true }));
    const packet = arriving(up, [data]);
    await expectPunt(rig, punts, "client", packet, { reason: "learn", session: up.session, copy: true });
    await until("the packet itself", () => rig.received("core").length === 1);
    assert.equal(hex(rig.received("core")[0]), hex(leaving(up, [data])));
  });

  withRig(name("ICMP errors and fragments of an association are told from strangers'"), async (rig) => {
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    // The halves of each other's tags.
    const upWay = { ...up, peerTag: down.tag & 0xffff };
    assert.ok(rig.fastPath.install(upWay));
    assert.ok(rig.fastPath.install({ ...down, peerTag: up.tag & 0xffff }));
    const isProven = async (side: Side, packet: Uint8Array, reason: "icmp" | "fragment") => {
      await expectPunt(rig, punts, side, packet, { reason });
      return punts.at(-1)?.proven === true;
    };
    const about = (flow: Flow, tag: number) => {
      const quoted = new Uint8Array([0, 0, 5, 0x78, ...leaving(flow, [data], { tag })]);
      return icmpMessage(family.client2, family.vip, family.name === "IPv4" ? 3 : 2, 4, quoted);
    };
    assert.equal(await isProven("core", about(up, up.tag), "icmp"), true);
    assert.equal(await isProven("client", about(down, down.tag), "icmp"), true);
    assert.equal(await isProven("core", about(up, (up.tag ^ 1) >>> 0), "icmp"), false);
    const other = { ...up, newSourcePort: up.newSourcePort + 1 };
    assert.equal(await isProven("core", about(other, up.tag), "icmp"), false);
    // A later fragment shows its source alone; that is known once a packet with the right tag has come from there.
    const fragmentOf = (flow: Flow) =>
      fragmentPacket(arriving(flow, [encodeData({ tsn: 1, data: new Uint8Array(2_000) })]), 1_300, 7)[1];
    const fragment = fragmentOf(up);
    const strangers = fragmentOf({ ...up, key: { ...up.key, source: family.client2 } });
    assert.ok(fragment && strangers);
    assert.equal(await isProven("client", fragment, "fragment"), false);
    rig.inject("client", arriving(up, [data]));
    await until("the packet itself", () => rig.received("core").length === 1);
    assert.equal(await isProven("client", fragment, "fragment"), true);
    assert.equal(await isProven("client", strangers, "fragment"), false);
  });

  withRig(name("ICMP errors are punted"), async (rig) => {
    const punts = recordPunts(rig.fastPath);
    rig.fastPath.start();
    const types = family.name === "IPv4" ? [3, 11, 12] : [1, 2, 3, 4];
    const inner = new Uint8Array([0, 0, 5, 0x78, ...arriving(up, [data])]);
    for (const type of types) {
      const packet = icmpMessage(family.client, family.vip, type, 4, inner);
      await expectPunt(rig, punts, "client", packet, { reason: "icmp" });
    }
  });
}

function headerChecksum(packet: Uint8Array): Uint8Array {
  packet.fill(0, 10, 12);
  const checksum = internetChecksum(packet, 0, 20);
  return Uint8Array.of(checksum >>> 8, checksum & 0xff);
}

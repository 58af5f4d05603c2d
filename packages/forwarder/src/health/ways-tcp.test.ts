// Ways of VIPs to endpoints of TCP: SYNs that no application hears of.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PROTOCOL_TCP, PROTOCOL_UDP } from "@holdfast/model";
import {
  ACK,
  PlainRig,
  type PlainRigOptions,
  PORT,
  plainService,
  RST,
  SERVER,
  SERVER_PORT,
  type Segment,
  SYN,
  tcpPacket,
  VIP,
} from "../testing/plain.ts";
import { WAY_PORT_FIRST, type WayAnswer } from "./ways.ts";

function owner(options: Partial<PlainRigOptions> = {}): PlainRig {
  const rig = new PlainRig({ services: [plainService(PROTOCOL_TCP)], isProbed: true, ...options });
  rig.forwarder.setOwnership([{ vip: VIP, owned: true }]);
  verdict(rig, "up");
  return rig;
}

function verdict(rig: PlainRig, health: "up" | "down"): void {
  const side = rig.forwarder.plain.room.sides.get(PROTOCOL_TCP);
  side?.health.setOwn({ address: SERVER, port: SERVER_PORT }, health, "test", rig.clock.nowMs());
}

const back = ({ source, sourcePort, destination, destinationPort }: Segment) => ({
  source: destination,
  sourcePort: destinationPort,
  destination: source,
  destinationPort: sourcePort,
});
const synAck = (syn: Segment, acknowledgment = syn.sequence + 1) =>
  tcpPacket(back(syn), SYN | ACK, { sequence: 9_000, acknowledgment });

/** Seconds pass; what leaves by itself, and what left for what came back. */
async function pass(rig: PlainRig, seconds: number, answer: (syn: Segment) => Uint8Array | undefined) {
  const asked: Segment[] = [];
  const replies: Segment[] = [];
  for (let i = 0; i < seconds * 10; i++) {
    rig.clock.advance(100);
    for (const syn of rig.taken()) {
      asked.push(syn);
      const bytes = answer(syn);
      if (bytes !== undefined) replies.push(...(await rig.pass(bytes)));
    }
  }
  return { asked, replies };
}

const unproven = (rig: PlainRig) =>
  rig.forwarder.ways.unproven.map(
    ({ protocol, vip, address, port }) => `${protocol} ${vip} ${address}:${port}`,
  );

test("a SYN-ACK proves the way, and is reset before the application hears of a connection", async () => {
  const rig = owner({ memberNumber: 3 });
  const { asked, replies } = await pass(rig, 10, (syn) => synAck(syn));
  assert.deepEqual(unproven(rig), []);
  assert.ok(asked.length >= 1 && asked.length < 3, "what is proven is left in peace");
  for (const [index, syn] of asked.entries()) {
    assert.deepEqual(
      [syn.source, syn.sourcePort, syn.destination, syn.destinationPort, syn.flags],
      [VIP, WAY_PORT_FIRST + 3, SERVER, SERVER_PORT, SYN],
    );
    const reset = replies[index];
    assert.deepEqual(
      [reset?.source, reset?.sourcePort, reset?.flags, reset?.sequence],
      [VIP, WAY_PORT_FIRST + 3, RST, (syn.sequence + 1) >>> 0],
    );
  }
  assert.equal(replies.length, asked.length);
  assert.deepEqual(rig.drops(), {});
  assert.deepEqual(rig.records(), []);
});

test("no answer makes it unproven: a warning that one answer takes back; a refusal is an answer", async () => {
  const rig = owner();
  const { asked } = await pass(rig, 8, () => undefined);
  assert.deepEqual(unproven(rig), [`6 ${VIP} ${SERVER}:${SERVER_PORT}`]);
  assert.match(rig.forwarder.ways.unproven[0]?.reason ?? "", /^5 SYNs from 203\.0\.113\.1 brought no answer/);
  assert.equal(new Set(asked.map(({ sequence }) => sequence)).size, 1, "one SYN, said again");
  const refusal = (syn: Segment) => tcpPacket(back(syn), RST | ACK, { acknowledgment: syn.sequence + 1 });
  const { replies } = await pass(rig, 2, refusal);
  assert.deepEqual(unproven(rig), []);
  assert.deepEqual(replies, [], "nobody resets a reset");
  verdict(rig, "down");
  await pass(rig, 40, () => undefined);
  assert.deepEqual(unproven(rig), [], "whoever is down is down");
});

test("another number proves nothing, and what is left of an earlier SYN is reset", async () => {
  const rig = owner();
  const { replies } = await pass(rig, 8, (syn) => synAck(syn, syn.sequence + 2));
  assert.equal(unproven(rig).length, 1);
  assert.ok(replies.every(({ flags }) => flags === RST));
  // An endpoint that still has one half open answers the next SYN so (RFC 5961 §4), and then it has none.
  let isOpen = true;
  const { replies: resets } = await pass(rig, 3, (syn) => {
    if (!isOpen) return synAck(syn);
    isOpen = false;
    return tcpPacket(back(syn), ACK, { sequence: 1, acknowledgment: 4_711 });
  });
  assert.deepEqual([resets[0]?.flags, resets[0]?.sequence], [RST, 4_711]);
  assert.deepEqual(unproven(rig), []);
});

test("an answer that comes in at another member is reset there and told to whoever asked", async () => {
  const [a, b] = [owner({ memberNumber: 2 }), owner({ memberNumber: 5 })];
  b.forwarder.setOwnership([]);
  b.taken();
  const relayed: { member: number; answer: WayAnswer }[] = [];
  b.forwarder.ways.onRelay((member, answer) => {
    relayed.push({ member, answer });
    a.forwarder.ways.relayed(answer);
  });
  for (let i = 0; i < 80; i++) {
    a.clock.advance(100);
    for (const syn of a.taken()) {
      const replies = await b.pass(synAck(syn));
      assert.deepEqual(
        replies.map(({ flags, sequence }) => [flags, sequence]),
        [[RST, (syn.sequence + 1) >>> 0]],
      );
    }
  }
  assert.ok(relayed.length >= 1 && relayed.every(({ member }) => member === 2));
  assert.deepEqual(unproven(a), []);
});

test("strangers, services on such a port and endpoints of UDP have nothing to do with it", async () => {
  const onPort = { ...plainService(PROTOCOL_TCP), id: `tcp/${VIP}:901`, port: WAY_PORT_FIRST };
  const udp = plainService(PROTOCOL_UDP);
  const rig = owner({ services: [plainService(PROTOCOL_TCP), onPort, udp] });
  const { asked } = await pass(rig, 3, (syn) => synAck(syn));
  assert.ok(asked.length >= 1 && asked.every(({ protocol }) => protocol === PROTOCOL_TCP));
  assert.deepEqual(unproven(rig), []);
  // The endpoint is a client of the service that has this port: its SYN opens a connection.
  const client = {
    source: SERVER,
    sourcePort: SERVER_PORT,
    destination: VIP,
    destinationPort: WAY_PORT_FIRST,
  };
  const syn = await rig.one(tcpPacket(client, SYN, { sequence: 5 }));
  assert.deepEqual([syn.destination, syn.flags], [SERVER, SYN]);
  const stranger = { ...client, source: "192.0.2.99", destinationPort: WAY_PORT_FIRST + 1 } as const;
  assert.deepEqual(await rig.pass(tcpPacket(stranger, SYN | ACK, { acknowledgment: 8 })), []);
  assert.equal(PORT, 80);
});

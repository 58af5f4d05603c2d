// Hostile bytes: whatever arrives, nothing throws, nothing living is harmed, and every packet is accounted
// for.
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, addressBytes, isLiving } from "@holdfast/model";
import { ManualClock } from "@holdfast/model/testing";
import {
  encodeAbort,
  encodeChunk,
  encodeData,
  encodeError,
  encodeShutdownComplete,
  IpHeader,
  writeChecksum,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import fc from "fast-check";
import type { PuntReason } from "../../fast-path/port.ts";
import { SimulatedFastPath } from "../../fast-path/simulated/simulated-fast-path.ts";
import { fragmentPacket } from "../../fragments/fragmentation.ts";
import { encodeIcmp } from "../../icmp/own-errors.ts";
import { ClientHost, EndpointHost, type Route } from "../../testing/hosts.ts";
import {
  CLIENT,
  CLIENT_2,
  CLIENT_PORT,
  ENDPOINT,
  ENDPOINT_PORT,
  Rig,
  SERVICE_PORT,
  settled,
  VIPS,
} from "../../testing/rig.ts";

const UP: Route = { source: CLIENT, destination: VIPS[0] as Address };
const DOWN: Route = { source: ENDPOINT, destination: VIPS[0] as Address };
const REASONS: readonly PuntReason[] = [
  "init",
  "initAck",
  "control",
  "handshake",
  "miss",
  "wrongTag",
  "learn",
  "icmp",
  "fragment",
  "asconf",
  "noNextHop",
  "ttlExpired",
  "tooBig",
  "ndp",
];

/** Packets whose tags fit nothing, of every kind, to be broken further. */
function samples(): Uint8Array[] {
  const client = new ClientHost(CLIENT_PORT, SERVICE_PORT, 0x7a);
  client.peerTag = 0x7b7b_7b7b;
  const endpoint = new EndpointHost(ENDPOINT_PORT, CLIENT_PORT, 0x7c);
  endpoint.peerTag = 0x7d7d_7d7d;
  const data = client.packet(UP, [encodeData({ tsn: 1, data: new Uint8Array(300) })]);
  const both = (chunk: Uint8Array) => [client.packet(UP, [chunk]), endpoint.packet(DOWN, [chunk])];
  return [
    client.init(UP, [CLIENT, CLIENT_2]),
    data,
    client.cookieEcho(UP),
    endpoint.cookieAck(DOWN),
    ...both(encodeAbort()),
    ...both(encodeAbort({ reflected: true })),
    ...both(encodeError([])),
    ...both(encodeShutdownComplete()),
    ...both(encodeChunk(0xc1, 0, new Uint8Array(12))),
    ...both(encodeChunk(2, 0, new Uint8Array(40).fill(3))),
    ...both(encodeChunk(1, 0, new Uint8Array(40).fill(3))),
    ...fragmentPacket(data, 100, 5),
    encodeIcmp({
      version: 4,
      type: 3,
      code: 4,
      word: 500,
      source: addressBytes("100.99.0.1"),
      destination: addressBytes(VIPS[0] as Address),
      inner: endpoint.packet(DOWN, [encodeData({ tsn: 1, data: new Uint8Array(30) })]),
    }),
  ];
}

/** Repairs the checksums, so that the damage is looked at and not only refused. */
function repaired(bytes: Uint8Array): Uint8Array {
  const ip = new IpHeader();
  if (ip.read(bytes) !== undefined || ip.fragment || ip.end - ip.payloadOffset < 12) return bytes;
  if (ip.version === 4) writeIpv4Checksum(bytes);
  if (ip.protocol === 132) writeChecksum(bytes, ip.payloadOffset, ip.end);
  return bytes;
}

const damage = fc.record({
  sample: fc.nat(),
  edits: fc.array(fc.record({ at: fc.nat(400), value: fc.nat(255) }), { maxLength: 6 }),
  cut: fc.option(fc.nat(200), { nil: undefined }),
  repair: fc.boolean(),
  reason: fc.constantFrom(...REASONS),
  copy: fc.boolean(),
  partial: fc.boolean(),
});

test("broken packets of every kind, under every reason, harm nothing and throw nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(damage, { minLength: 1, maxLength: 60 }), async (list) => {
      const clock = new ManualClock();
      const fastPath = new SimulatedFastPath({ nowMs: () => clock.nowMs() });
      let punt: Parameters<SimulatedFastPath["onPunt"]>[0] = () => {};
      const onPunt = fastPath.onPunt.bind(fastPath);
      fastPath.onPunt = (listener) => {
        punt = listener;
        onPunt(listener);
      };
      const rig = new Rig({ clock, fastPath });
      const { client, endpoint, record } = await rig.establish({ source: "100.80.3.3" });
      const base = samples();
      for (const { sample, edits, cut, repair, reason, copy, partial } of list) {
        let packet: Uint8Array = (base[sample % base.length] as Uint8Array).slice();
        for (const { at, value } of edits) if (at < packet.length) packet[at] = value;
        if (cut !== undefined) packet = packet.slice(0, cut);
        if (repair) packet = repaired(packet);
        punt({
          reason,
          packet,
          interfaceIndex: 1,
          timeMs: clock.nowMs(),
          session: 0,
          checksumPartial: partial,
          copy,
        });
        clock.advance(10);
      }
      await settled();
      rig.fastPath.takeOutgoing();
      const living = rig.table.get(record.id);
      assert.ok(living !== undefined && isLiving(living));
      const route = { source: "100.80.3.3", destination: UP.destination } as const;
      assert.equal((await rig.one(client.data(route))).destination, ENDPOINT);
      assert.equal((await rig.one(endpoint.data(DOWN))).destination, "100.80.3.3");
    }),
    { numRuns: 200 },
  );
});

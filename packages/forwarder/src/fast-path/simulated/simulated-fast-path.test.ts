import assert from "node:assert/strict";
import { test } from "node:test";
import { addressBytes, PROTOCOL_SCTP } from "@holdfast/model";
import {
  encodeData,
  encodeInit,
  encodeIp,
  encodePacket,
  encodeSack,
  IpHeader,
  verifyChecksum,
} from "@holdfast/sctp";
import type { Flow, Punt } from "../port.ts";
import { SimulatedFastPath } from "./simulated-fast-path.ts";

const flow: Flow = {
  key: {
    protocol: PROTOCOL_SCTP,
    source: "10.1.0.10",
    destination: "203.0.113.1",
    sourcePort: 36_000,
    destinationPort: 5_000,
  },
  newSource: "203.0.113.1",
  newDestination: "10.9.0.20",
  newSourcePort: 40_001,
  newDestinationPort: 7_000,
  tag: 0xfeed_beef,
  direction: "up",
  pending: false,
  heartbeatOnly: false,
  learn: true,
  session: 7,
};

function packetOf(tag: number, chunk: Uint8Array): Uint8Array {
  const { source, destination, sourcePort, destinationPort } = flow.key;
  return encodeIp({
    source: addressBytes(source),
    destination: addressBytes(destination),
    payload: encodePacket({ sourcePort, destinationPort, verificationTag: tag, chunks: [chunk] }),
  });
}

test("a flow forwards, the first packet is learnt from, and nothing before start is punted", () => {
  const fastPath = new SimulatedFastPath();
  const punts: Punt[] = [];
  fastPath.onPunt((punt) => punts.push(punt));
  fastPath.setLocal([
    { address: "203.0.113.1", owned: true, ports: [{ protocol: PROTOCOL_SCTP, port: 5_000 }] },
  ]);
  const init = packetOf(0, encodeInit({ initiateTag: 1 }));
  assert.equal(fastPath.inject(init).action, "punt");
  assert.equal(punts.length, 0);
  fastPath.start();
  assert.deepEqual(
    punts.map((punt) => [punt.reason, punt.session, punt.copy]),
    [["init", 0, false]],
  );
  assert.deepEqual(punts[0]?.packet, init);

  assert.ok(fastPath.install(flow));
  const data = packetOf(flow.tag, encodeData({ tsn: 1, data: new Uint8Array(5) }));
  fastPath.inject(data, 3);
  fastPath.inject(packetOf(flow.tag, encodeSack(1)), 3);
  assert.deepEqual(
    punts.slice(1).map((punt) => [punt.reason, punt.session, punt.copy, punt.interfaceIndex]),
    [["learn", 7, true, 3]],
  );
  assert.deepEqual(punts[1]?.packet, data);
  const [first, second] = fastPath.takeOutgoing();
  assert.ok(first !== undefined && second !== undefined);
  const header = new IpHeader();
  assert.equal(header.read(first.packet), undefined);
  assert.equal(header.hopLimit, 63);
  assert.ok(verifyChecksum(first.packet, header.payloadOffset, header.end));
  assert.deepEqual(fastPath.counters(flow.key), { packets: 2, bytes: data.length + 48, lastSeenMs: 0 });
});

test("what is not for a local address passes; a wrong tag, an unserved port are dropped and counted", () => {
  const fastPath = new SimulatedFastPath();
  const data = packetOf(5, encodeData({ tsn: 1, data: new Uint8Array(5) }));
  assert.equal(fastPath.inject(data).action, "pass");
  fastPath.setLocal([
    { address: "203.0.113.1", owned: true, ports: [{ protocol: PROTOCOL_SCTP, port: 5_001 }] },
  ]);
  assert.deepEqual(fastPath.inject(data), { action: "drop", reason: "port-not-served" });
  fastPath.install(flow);
  assert.deepEqual(fastPath.inject(data), { action: "drop", reason: "wrong-tag" });
  assert.equal(fastPath.totals().get("drop.wrong-tag"), 1);
  fastPath.install({ ...flow, pending: true });
  assert.deepEqual(fastPath.inject(data), { action: "punt", reason: "wrongTag", session: 7 });
});

test("a packet that does not fit is punted with the size that would", () => {
  const fastPath = new SimulatedFastPath({ egress: () => ({ mtu: 600 }) });
  const punts: Punt[] = [];
  fastPath.onPunt((punt) => punts.push(punt));
  fastPath.start();
  fastPath.setLocal([
    { address: "203.0.113.1", owned: true, ports: [{ protocol: PROTOCOL_SCTP, port: 5_000 }] },
  ]);
  fastPath.install(flow);
  fastPath.inject(packetOf(flow.tag, encodeData({ tsn: 1, data: new Uint8Array(600) })));
  assert.deepEqual(
    punts.map((punt) => [punt.reason, punt.mtu]),
    [["tooBig", 600]],
  );
});

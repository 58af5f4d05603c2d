// A trace of one session has its packets alone, though other protocols have its addresses and ports too.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Address,
  kindOf,
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  type SessionEnvelope,
  SessionView,
  serviceIdOf,
} from "@holdfast/model";
import { addSession } from "../api/testing/fake-node.ts";
import type { KnownSession } from "../sessions/tables.ts";
import { isOfSession } from "./of-session.ts";

const VIP = "203.0.113.1";
const CLIENT = "192.0.2.1";
const ENDPOINT = "10.0.0.1";
const SERVICE = { vips: [VIP], port: 38412 } as const;

function known(): KnownSession {
  const view = new SessionView();
  const id = addSession(view, {
    ...{ primary: VIP, port: 38412, client: CLIENT, clientPort: 5000, endpoint: ENDPOINT, natPort: 4100 },
  });
  const record = view.get(id) as SessionEnvelope;
  assert.equal(record.serviceId, serviceIdOf(PROTOCOL_SCTP, VIP, 38412));
  return { kind: kindOf(PROTOCOL_SCTP) as KnownSession["kind"], record };
}

const ipv4 = (address: Address) => address.split(".").map(Number);

/** IPv4, 20 bytes of header, and the ports. */
function packet(
  protocol: number,
  source: Address,
  sourcePort: number,
  to: Address,
  port: number,
): Uint8Array {
  const bytes = new Uint8Array(28);
  bytes[0] = 0x45;
  bytes[9] = protocol;
  bytes.set(ipv4(source), 12);
  bytes.set(ipv4(to), 16);
  new DataView(bytes.buffer).setUint16(20, sourcePort);
  new DataView(bytes.buffer).setUint16(22, port);
  return bytes;
}

test("both directions at both sides are of it", () => {
  const session = known();
  for (const each of [
    packet(PROTOCOL_SCTP, CLIENT, 5000, VIP, 38412),
    packet(PROTOCOL_SCTP, VIP, 38412, CLIENT, 5000),
    packet(PROTOCOL_SCTP, ENDPOINT, 38412, VIP, 4100),
    packet(PROTOCOL_SCTP, VIP, 4100, ENDPOINT, 38412),
  ])
    assert.ok(isOfSession(each, session, SERVICE));
});

test("another protocol on its ports, other ports and what is cut off are not", () => {
  const session = known();
  for (const each of [
    packet(PROTOCOL_TCP, CLIENT, 5000, VIP, 38412),
    packet(PROTOCOL_TCP, VIP, 4100, ENDPOINT, 38412),
    packet(PROTOCOL_SCTP, CLIENT, 5001, VIP, 38412),
    packet(PROTOCOL_SCTP, CLIENT, 5000, VIP, 38413),
    packet(PROTOCOL_SCTP, CLIENT, 5000, VIP, 38412).subarray(0, 22),
    new Uint8Array(0),
  ])
    assert.equal(isOfSession(each, session, SERVICE), false);
});

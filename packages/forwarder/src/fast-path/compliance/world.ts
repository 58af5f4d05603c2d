// The addresses of the compliance suite, the same for every implementation. A harness makes them reachable:
// the clients on one side, the endpoints on the other, the fast path between.
import { type Address, addressBytes, PROTOCOL_SCTP } from "@holdfast/model";
import { encodeIp, encodePacket } from "@holdfast/sctp";
import type { Flow, LocalAddress } from "../port.ts";

export type Side = "client" | "core";

export interface WorldFamily {
  readonly name: "IPv4" | "IPv6";
  /** This member owns the first; the second is another's. */
  readonly vip: Address;
  readonly otherVip: Address;
  readonly client: Address;
  /** A second address of the same client. */
  readonly client2: Address;
  readonly endpoint: Address;
  /** There is no route to it. */
  readonly nowhere: Address;
}

export const IPV4: WorldFamily = {
  name: "IPv4",
  vip: "203.0.113.1",
  otherVip: "203.0.113.2",
  client: "10.1.0.10",
  client2: "10.1.0.11",
  endpoint: "10.9.0.20",
  nowhere: "172.31.255.1",
};

export const IPV6: WorldFamily = {
  name: "IPv6",
  vip: "2001:db8:1::1",
  otherVip: "2001:db8:1::2",
  client: "fd00:1::10",
  client2: "fd00:1::11",
  endpoint: "fd00:9::20",
  nowhere: "fd00:dead::1",
};

export const FAMILIES = [IPV4, IPV6] as const;

export const SERVICE_PORT = 38_412;
export const ENDPOINT_PORT = 7_000;
export const CLIENT_PORT = 36_000;
export const NAT_PORT = 40_001;
export const CLIENT_TAG = 0xc11e_0001;
export const ENDPOINT_TAG = 0xe4d0_0002;
export const SESSION = 77;

/** Largest IP packet on each side; the client's is larger, so that a packet can arrive that does not fit. */
export const CLIENT_MTU = 3_000;
export const CORE_MTU = 1_500;

/** The port of the service, of SCTP. */
export const SERVICE = { protocol: PROTOCOL_SCTP, port: SERVICE_PORT };

export const LOCAL: readonly LocalAddress[] = FAMILIES.flatMap(({ vip, otherVip }) => [
  { address: vip, owned: true, ports: [SERVICE] },
  { address: otherVip, owned: false, ports: [SERVICE] },
]);

export const ENDPOINTS = FAMILIES.map(({ endpoint }) => ({
  protocol: PROTOCOL_SCTP,
  address: endpoint,
  port: ENDPOINT_PORT,
}));

export function upFlow(family: WorldFamily, changes: Partial<Flow> = {}): Flow {
  return {
    key: {
      protocol: PROTOCOL_SCTP,
      source: family.client,
      destination: family.vip,
      sourcePort: CLIENT_PORT,
      destinationPort: SERVICE_PORT,
    },
    newSource: family.vip,
    newDestination: family.endpoint,
    newSourcePort: NAT_PORT,
    newDestinationPort: ENDPOINT_PORT,
    tag: ENDPOINT_TAG,
    direction: "up",
    pending: false,
    heartbeatOnly: false,
    learn: false,
    session: SESSION,
    ...changes,
  };
}

export function downFlow(family: WorldFamily, changes: Partial<Flow> = {}): Flow {
  return {
    key: {
      protocol: PROTOCOL_SCTP,
      source: family.endpoint,
      destination: family.vip,
      sourcePort: ENDPOINT_PORT,
      destinationPort: NAT_PORT,
    },
    newSource: family.vip,
    newDestination: family.client,
    newSourcePort: SERVICE_PORT,
    newDestinationPort: CLIENT_PORT,
    tag: CLIENT_TAG,
    direction: "down",
    pending: false,
    heartbeatOnly: false,
    learn: false,
    session: SESSION,
    ...changes,
  };
}

/** DSCP EF with ECT(0): both must survive. */
const TRAFFIC_CLASS = 0xba;

export interface PacketChanges {
  readonly tag?: number;
  readonly hopLimit?: number;
  readonly identification?: number;
}

/** What arrives for a flow: checksums right. */
export function arriving(flow: Flow, chunks: readonly Uint8Array[], changes: PacketChanges = {}): Uint8Array {
  const { source, destination, sourcePort, destinationPort } = flow.key;
  return packetOf(source, destination, sourcePort, destinationPort, flow, chunks, changes, 0);
}

/** What must leave for it, built from nothing but the rules. */
export function leaving(
  flow: Flow,
  chunks: readonly Uint8Array[],
  changes: PacketChanges & { to?: Address } = {},
): Uint8Array {
  const to = changes.to ?? flow.newDestination;
  return packetOf(flow.newSource, to, flow.newSourcePort, flow.newDestinationPort, flow, chunks, changes, 1);
}

function packetOf(
  source: Address,
  destination: Address,
  sourcePort: number,
  destinationPort: number,
  flow: Flow,
  chunks: readonly Uint8Array[],
  changes: PacketChanges,
  hops: number,
): Uint8Array {
  return encodeIp({
    source: addressBytes(source),
    destination: addressBytes(destination),
    trafficClass: TRAFFIC_CLASS,
    hopLimit: (changes.hopLimit ?? 64) - hops,
    identification: changes.identification ?? 0x1234,
    flowLabel: 0x54321,
    payload: encodePacket({ sourcePort, destinationPort, verificationTag: changes.tag ?? flow.tag, chunks }),
  });
}

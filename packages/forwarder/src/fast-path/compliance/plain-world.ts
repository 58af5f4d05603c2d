// Connections of TCP and exchanges of datagrams in the compliance suite's world, and their packets.
import { addressBytes } from "@holdfast/model";
import { encodeIp, IpHeader, PROTOCOL, write16, write32 } from "@holdfast/sctp";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import { writePlainChecksum } from "../../packet/plain/rewrite.ts";
import type { PlainFlow } from "../plain.ts";
import { CLIENT_PORT, ENDPOINT_PORT, NAT_PORT, SERVICE_PORT, type WorldFamily } from "./world.ts";

export const PLAIN_SESSION = 91;
/** Numbers that both ends of the connection believe when it is installed. */
export const CLIENT_NUMBER = 0xffff_ff00;
export const ENDPOINT_NUMBER = 70_000;

interface Changes extends Partial<PlainFlow> {
  /** Bytes of a PROXY header before the client's. */
  readonly shift?: number;
}

export function plainUp(family: WorldFamily, protocol: number, changes: Changes = {}): PlainFlow {
  const { shift = 0, ...others } = changes;
  return {
    key: {
      protocol,
      source: family.client,
      destination: family.vip,
      sourcePort: CLIENT_PORT,
      destinationPort: SERVICE_PORT,
    },
    newSource: family.vip,
    newDestination: family.endpoint,
    newSourcePort: NAT_PORT,
    newDestinationPort: ENDPOINT_PORT,
    direction: "up",
    session: PLAIN_SESSION,
    handshake: false,
    learn: false,
    assured: true,
    ...tcpOf(protocol, shift, CLIENT_NUMBER, ENDPOINT_NUMBER),
    ...others,
  };
}

export function plainDown(family: WorldFamily, protocol: number, changes: Changes = {}): PlainFlow {
  const { shift = 0, ...others } = changes;
  return {
    ...plainUp(family, protocol),
    key: {
      protocol,
      source: family.endpoint,
      destination: family.vip,
      sourcePort: ENDPOINT_PORT,
      destinationPort: NAT_PORT,
    },
    newSource: family.vip,
    newDestination: family.client,
    newSourcePort: SERVICE_PORT,
    newDestinationPort: CLIENT_PORT,
    direction: "down",
    ...tcpOf(protocol, shift, ENDPOINT_NUMBER, CLIENT_NUMBER),
    ...others,
  };
}

function tcpOf(
  protocol: number,
  shift: number,
  sequence: number,
  acknowledged: number,
): Pick<PlainFlow, "tcp"> {
  if (protocol !== PROTOCOL.TCP) return {};
  return { tcp: { windowScale: 2, shift, edges: { sequence, acknowledged } } };
}

export interface PlainPacket {
  readonly flags?: number;
  /** From the number that its sender is at. */
  readonly by?: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  readonly payload?: Uint8Array;
  /** Of TCP, whole words. */
  readonly options?: Uint8Array;
  readonly hopLimit?: number;
  /** Default: right. */
  readonly checksum?: number;
}

/** What arrives on a flow, and what must leave for it, built from nothing but the rules. */
export function plainPackets(
  flow: PlainFlow,
  plan: PlainPacket = {},
): { readonly arriving: Uint8Array; readonly leaving: Uint8Array } {
  const isUp = flow.direction === "up";
  const shift = flow.tcp?.shift ?? 0;
  const own = isUp ? CLIENT_NUMBER : ENDPOINT_NUMBER;
  const sequence = plan.sequence ?? (own + (plan.by ?? 0)) >>> 0;
  // The endpoint's acknowledgments count the PROXY header.
  const acknowledgment = plan.acknowledgment ?? (isUp ? ENDPOINT_NUMBER : CLIENT_NUMBER + shift) >>> 0;
  const hopLimit = plan.hopLimit ?? 64;
  return {
    arriving: packetOf(flow.key, { ...plan, sequence, acknowledgment, hopLimit }),
    leaving: packetOf(
      {
        protocol: flow.key.protocol,
        source: flow.newSource,
        destination: flow.newDestination,
        sourcePort: flow.newSourcePort,
        destinationPort: flow.newDestinationPort,
      },
      {
        ...plan,
        sequence: (sequence + (isUp ? shift : 0)) >>> 0,
        acknowledgment: (acknowledgment - (isUp ? 0 : shift)) >>> 0,
        hopLimit: hopLimit - 1,
      },
    ),
  };
}

function packetOf(key: PlainFlow["key"], plan: PlainPacket): Uint8Array {
  const { flags = TCP_FLAG.ACK, sequence = 0, acknowledgment = 0, payload = new Uint8Array() } = plan;
  const isTcp = key.protocol === PROTOCOL.TCP;
  const options = (isTcp ? plan.options : undefined) ?? new Uint8Array();
  const head = (isTcp ? 20 : 8) + options.length;
  const bytes = new Uint8Array(head + payload.length);
  write16(bytes, 0, key.sourcePort);
  write16(bytes, 2, key.destinationPort);
  if (isTcp) {
    write32(bytes, 4, sequence);
    write32(bytes, 8, acknowledgment);
    bytes[12] = (head / 4) << 4;
    bytes.set(options, 20);
    bytes[13] = flags;
    write16(bytes, 14, 501);
  } else write16(bytes, 4, bytes.length);
  bytes.set(payload, head);
  const packet = encodeIp({
    source: addressBytes(key.source),
    destination: addressBytes(key.destination),
    payload: bytes,
    protocol: key.protocol,
    identification: 0x1234,
    trafficClass: 0xba,
    ...(plan.hopLimit !== undefined && { hopLimit: plan.hopLimit }),
  });
  const ip = new IpHeader();
  ip.read(packet);
  writePlainChecksum(packet, ip);
  if (plan.checksum !== undefined) write16(packet, ip.payloadOffset + (isTcp ? 16 : 6), plan.checksum);
  return packet;
}

/**
 * The packet as a local stack hands it over: its checksum is the pseudo header's sum and nothing else yet.
 */
export function unfinished(packet: Uint8Array): Uint8Array {
  const ip = new IpHeader();
  ip.read(packet);
  const at = ip.payloadOffset + (ip.protocol === PROTOCOL.TCP ? 16 : 6);
  const bare = packet.slice();
  // Nothing but the pseudo header is left to sum.
  bare.fill(0, ip.payloadOffset);
  writePlainChecksum(bare, ip);
  const marked = packet.slice();
  marked[at] = ~(bare[at] as number) & 0xff;
  marked[at + 1] = ~(bare[at + 1] as number) & 0xff;
  return marked;
}

// TCP segments and datagrams as a scripted host writes them, and as it reads what arrives.
import { TCP_FLAG, writePlainChecksum } from "@holdfast/forwarder/testing";
import { type Address, addressBytes } from "@holdfast/model";
import { encodeIp, IpHeader, PROTOCOL, read16, read32, write16, write32 } from "@holdfast/sctp";
import type { HeardPacket, IpExtras } from "@holdfast/testkit";

export const { SYN, ACK, FIN, RST } = TCP_FLAG;
export const PSH = 8;
const TCP_HEADER_SIZE = 20;
const UDP_HEADER_SIZE = 8;
const WINDOW = 65_000;

export interface Place {
  readonly address: Address;
  readonly port: number;
}

export interface SegmentFields {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment?: number;
  readonly payload?: string | Uint8Array;
  readonly options?: Uint8Array;
  /** RFC 9293 §3.8.5: the pointer to what is behind urgent bytes. */
  readonly urgent?: number;
}

/** A segment or datagram that arrived. */
export interface Heard {
  readonly source: Place;
  readonly destination: Place;
  /** 0 of UDP, as are the numbers. */
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly options: Uint8Array;
  readonly urgent: number;
  readonly payload: Uint8Array;
  readonly checksum: number;
  readonly isChecksumRight: boolean;
  readonly packet: HeardPacket;
}

const bytesOf = (payload: string | Uint8Array = "") =>
  typeof payload === "string" ? Buffer.from(payload, "latin1") : payload;

export const textOf = ({ payload }: Heard) => Buffer.from(payload).toString("latin1");

/** A whole IP packet, checksums right. */
export function segment(from: Place, to: Place, fields: SegmentFields, extras: IpExtras = {}): Uint8Array {
  const { options = new Uint8Array(0) } = fields;
  const payload = bytesOf(fields.payload);
  const size = TCP_HEADER_SIZE + options.length;
  const bytes = new Uint8Array(size + payload.length);
  write16(bytes, 0, from.port);
  write16(bytes, 2, to.port);
  write32(bytes, 4, fields.sequence >>> 0);
  write32(bytes, 8, (fields.acknowledgment ?? 0) >>> 0);
  bytes[12] = (size / 4) << 4;
  bytes[13] = fields.flags;
  write16(bytes, 14, WINDOW);
  write16(bytes, 18, fields.urgent ?? 0);
  bytes.set(options, TCP_HEADER_SIZE);
  bytes.set(payload, size);
  return finished(from, to, bytes, PROTOCOL.TCP, extras);
}

/** `checksum`: as it shall be, 0 for none. */
export function datagram(
  from: Place,
  to: Place,
  data: string | Uint8Array,
  extras: IpExtras & { readonly checksum?: number } = {},
): Uint8Array {
  const payload = bytesOf(data);
  const bytes = new Uint8Array(UDP_HEADER_SIZE + payload.length);
  write16(bytes, 0, from.port);
  write16(bytes, 2, to.port);
  write16(bytes, 4, bytes.length);
  bytes.set(payload, UDP_HEADER_SIZE);
  const packet = finished(from, to, bytes, PROTOCOL.UDP, extras);
  if (extras.checksum !== undefined) write16(packet, packet.length - bytes.length + 6, extras.checksum);
  return packet;
}

function finished(from: Place, to: Place, payload: Uint8Array, protocol: number, extras: IpExtras) {
  const packet = encodeIp({
    source: addressBytes(from.address),
    destination: addressBytes(to.address),
    protocol,
    payload,
    ...extras,
  });
  const ip = new IpHeader();
  ip.read(packet);
  writePlainChecksum(packet, ip);
  return packet;
}

/** undefined: neither a segment nor a datagram, or a fragment. */
export function readHeard(packet: HeardPacket): Heard | undefined {
  const { protocol, payload: bytes } = packet;
  const ip = new IpHeader();
  if (ip.read(packet.bytes) !== undefined || ip.fragment) return undefined;
  const isTcp = protocol === PROTOCOL.TCP;
  if (!isTcp && protocol !== PROTOCOL.UDP) return undefined;
  if (bytes.length < (isTcp ? TCP_HEADER_SIZE : UDP_HEADER_SIZE)) return undefined;
  const size = isTcp ? ((bytes[12] as number) >>> 4) * 4 : UDP_HEADER_SIZE;
  const checksum = read16(bytes, isTcp ? 16 : 6);
  const copy = packet.bytes.slice();
  writePlainChecksum(copy, ip);
  const right = read16(copy, ip.payloadOffset + (isTcp ? 16 : 6));
  return {
    source: { address: packet.source, port: read16(bytes, 0) },
    destination: { address: packet.destination, port: read16(bytes, 2) },
    flags: isTcp ? (bytes[13] as number) & ~PSH : 0,
    sequence: isTcp ? read32(bytes, 4) : 0,
    acknowledgment: isTcp ? read32(bytes, 8) : 0,
    options: bytes.subarray(isTcp ? TCP_HEADER_SIZE : size, size),
    urgent: isTcp ? read16(bytes, 18) : 0,
    payload: bytes.subarray(size),
    checksum,
    isChecksumRight: checksum === right,
    packet,
  };
}

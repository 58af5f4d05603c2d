// A captured frame as tests see it: addresses, ports, tag, the chunks' types.
import { type Address, addressFromBytes } from "@holdfast/model";
import type { CapturedFrame } from "./pcap.ts";

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const PROTOCOL_SCTP = 132;
/** What fits into the longest packet. */
const CHUNK_COUNT_MAX = 16_384;

export interface CapturedChunk {
  readonly type: number;
  readonly flags: number;
  /** Chunk with its header, without padding. */
  readonly bytes: Uint8Array;
}

export interface CapturedSctp {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly verificationTag: number;
  readonly checksum: number;
  readonly chunks: readonly CapturedChunk[];
  /** SCTP packet, common header first. */
  readonly bytes: Uint8Array;
}

export interface CapturedPacket {
  readonly wallMs: number;
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  readonly ttl: number;
  /** DSCP and ECN. */
  readonly trafficClass: number;
  readonly sourceMac: string;
  readonly destinationMac: string;
  /** IP packet, header first, without Ethernet padding. */
  readonly bytes: Uint8Array;
  /** Upper-layer payload. */
  readonly payload: Uint8Array;
  /** Absent for other protocols and for fragments. */
  readonly sctp: CapturedSctp | undefined;
}

/** undefined: neither IPv4 nor IPv6, or too short. */
export function readPacket(frame: CapturedFrame): CapturedPacket | undefined {
  const { bytes } = frame;
  if (bytes.length < 34) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const common = { wallMs: frame.wallMs, destinationMac: mac(bytes, 0), sourceMac: mac(bytes, 6) };
  const type = view.getUint16(12);
  if (type === ETHERTYPE_IPV4) {
    const header = ((bytes[14] as number) & 15) * 4;
    const packet = bytes.subarray(14, 14 + view.getUint16(16));
    const payload = packet.subarray(header);
    const fragment = (view.getUint16(20) & 0x3fff) !== 0;
    const protocol = bytes[23] as number;
    return {
      ...common,
      source: addressFromBytes(bytes, 26, 4),
      destination: addressFromBytes(bytes, 30, 4),
      protocol,
      ttl: bytes[22] as number,
      trafficClass: bytes[15] as number,
      bytes: packet,
      payload,
      sctp: protocol === PROTOCOL_SCTP && !fragment ? readSctp(payload) : undefined,
    };
  }
  if (type !== ETHERTYPE_IPV6 || bytes.length < 54) return undefined;
  const packet = bytes.subarray(14, 54 + view.getUint16(18));
  const payload = packet.subarray(40);
  const protocol = bytes[20] as number;
  return {
    ...common,
    source: addressFromBytes(bytes, 22, 16),
    destination: addressFromBytes(bytes, 38, 16),
    protocol,
    ttl: bytes[21] as number,
    trafficClass: (view.getUint16(14) >> 4) & 0xff,
    bytes: packet,
    payload,
    sctp: protocol === PROTOCOL_SCTP ? readSctp(payload) : undefined,
  };
}

function readSctp(bytes: Uint8Array): CapturedSctp | undefined {
  if (bytes.length < 12) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: CapturedChunk[] = [];
  for (let offset = 12; offset + 4 <= bytes.length && chunks.length < CHUNK_COUNT_MAX; ) {
    const length = view.getUint16(offset + 2);
    if (length < 4) break;
    chunks.push({
      type: bytes[offset] as number,
      flags: bytes[offset + 1] as number,
      bytes: bytes.subarray(offset, offset + length),
    });
    offset += (length + 3) & ~3;
  }
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    verificationTag: view.getUint32(4),
    checksum: view.getUint32(8, true),
    chunks,
    bytes,
  };
}

function mac(bytes: Uint8Array, offset: number): string {
  return [...bytes.subarray(offset, offset + 6)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Whether `needle` stands anywhere in `haystack`. */
export function containsBytes(haystack: Uint8Array, needle: Uint8Array): boolean {
  return Buffer.from(haystack.buffer, haystack.byteOffset, haystack.byteLength).includes(Buffer.from(needle));
}

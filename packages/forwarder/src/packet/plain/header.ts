// TCP (RFC 9293 §3.1) and UDP (RFC 768) headers, as far as a translation needs them.
import { PROTOCOL, read16, read32 } from "@holdfast/sctp";

export const TCP_SEQUENCE_OFFSET = 4;
export const TCP_ACKNOWLEDGMENT_OFFSET = 8;
export const TCP_DATA_OFFSET_OFFSET = 12;
export const TCP_FLAGS_OFFSET = 13;
export const TCP_WINDOW_OFFSET = 14;
export const TCP_CHECKSUM_OFFSET = 16;
export const TCP_HEADER_SIZE = 20;
export const UDP_LENGTH_OFFSET = 4;
export const UDP_CHECKSUM_OFFSET = 6;
export const UDP_HEADER_SIZE = 8;

export const TCP_FLAG = { FIN: 1, SYN: 2, RST: 4, ACK: 16 } as const;

/** Stable names, as in drop reasons. */
export type PlainRefusal = "tcp-header" | "tcp-flags" | "udp-length" | "port-zero";

/** What stacks send, of SYN, FIN, RST and ACK; the other flags go with any. */
const LEGAL_FLAGS: ReadonlySet<number> = new Set([
  TCP_FLAG.SYN,
  TCP_FLAG.SYN | TCP_FLAG.ACK,
  TCP_FLAG.RST,
  TCP_FLAG.RST | TCP_FLAG.ACK,
  TCP_FLAG.FIN | TCP_FLAG.ACK,
  TCP_FLAG.ACK,
]);
const FLAGS_THAT_COUNT = TCP_FLAG.SYN | TCP_FLAG.FIN | TCP_FLAG.RST | TCP_FLAG.ACK;

/**
 * RFC 768: the checksum is of as much as the datagram's length says; RFC 9868 §6: behind that there may be
 * more. A length that is none is whoever reads the header's to refuse: then it is all there is.
 */
export function datagramEnd(bytes: Uint8Array, start: number, end: number): number {
  const length = read16(bytes, start + UDP_LENGTH_OFFSET);
  return length < UDP_HEADER_SIZE || length > end - start ? end : start + length;
}

/** Where the packet's IP header says that it lies. */
interface Place {
  readonly protocol: number;
  readonly payloadOffset: number;
  readonly end: number;
}

/** Filled by `read`; one object serves many packets. Fields of TCP hold for TCP alone. */
export class PlainHeader {
  isTcp = false;
  /** Bytes [start, end) are the TCP segment or the datagram. */
  start = 0;
  end = 0;
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  acknowledgment = 0;
  /** Of TCP_FLAG. */
  flags = 0;
  /** Header with options, bytes. */
  headerSize = 0;

  /** `ip`: a packet of TCP or UDP that is no fragment. undefined: fine; the fields hold only then. */
  read(bytes: Uint8Array, ip: Place): PlainRefusal | undefined {
    const start = ip.payloadOffset;
    const size = ip.end - start;
    this.start = start;
    this.end = ip.end;
    this.isTcp = ip.protocol === PROTOCOL.TCP;
    if (this.isTcp) return this.#readTcp(bytes, start, size);
    if (size < UDP_HEADER_SIZE) return "udp-length";
    if (!this.#readPorts(bytes, start)) return "port-zero";
    const length = read16(bytes, start + UDP_LENGTH_OFFSET);
    this.headerSize = UDP_HEADER_SIZE;
    return length < UDP_HEADER_SIZE || length > size ? "udp-length" : undefined;
  }

  has(flag: number): boolean {
    return (this.flags & flag) !== 0;
  }

  /** The number behind the last byte of the segment, 32 bits; a SYN and a FIN count one each. */
  get sequenceEnd(): number {
    const { SYN, FIN } = TCP_FLAG;
    const size = this.end - this.start - this.headerSize;
    return (this.sequence + size + (this.has(SYN) ? 1 : 0) + (this.has(FIN) ? 1 : 0)) >>> 0;
  }

  #readTcp(bytes: Uint8Array, start: number, size: number): PlainRefusal | undefined {
    if (size < TCP_HEADER_SIZE) return "tcp-header";
    this.headerSize = ((bytes[start + TCP_DATA_OFFSET_OFFSET] as number) >>> 4) * 4;
    if (this.headerSize < TCP_HEADER_SIZE || this.headerSize > size) return "tcp-header";
    if (!this.#readPorts(bytes, start)) return "port-zero";
    this.flags = (bytes[start + TCP_FLAGS_OFFSET] as number) & FLAGS_THAT_COUNT;
    if (!LEGAL_FLAGS.has(this.flags)) return "tcp-flags";
    this.sequence = read32(bytes, start + TCP_SEQUENCE_OFFSET) >>> 0;
    this.acknowledgment = read32(bytes, start + TCP_ACKNOWLEDGMENT_OFFSET) >>> 0;
    return undefined;
  }

  #readPorts(bytes: Uint8Array, start: number): boolean {
    this.sourcePort = read16(bytes, start);
    this.destinationPort = read16(bytes, start + 2);
    return this.sourcePort !== 0 && this.destinationPort !== 0;
  }
}

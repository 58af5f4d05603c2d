// Segments of TCP that are made here: resets, and SYNs that ask whether a way is there.
import { type Address, PROTOCOL_TCP } from "@holdfast/model";
import { encodeIp, IpHeader, write16, write32 } from "@holdfast/sctp";
import { bytesOf } from "../translate.ts";
import {
  TCP_ACKNOWLEDGMENT_OFFSET,
  TCP_DATA_OFFSET_OFFSET,
  TCP_FLAGS_OFFSET,
  TCP_HEADER_SIZE,
  TCP_SEQUENCE_OFFSET,
  TCP_WINDOW_OFFSET,
} from "./header.ts";
import { writePlainChecksum } from "./rewrite.ts";

export interface Ends {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
}

interface SegmentFields {
  /** Of TCP_FLAG. */
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment?: number;
  readonly window?: number;
}

/** A whole packet without data or options. Both addresses are of one family. */
export function segmentPacket(ends: Ends, fields: SegmentFields): Uint8Array {
  const { flags, sequence, acknowledgment = 0, window = 0 } = fields;
  const segment = new Uint8Array(TCP_HEADER_SIZE);
  write16(segment, 0, ends.sourcePort);
  write16(segment, 2, ends.destinationPort);
  write32(segment, TCP_SEQUENCE_OFFSET, sequence >>> 0);
  write32(segment, TCP_ACKNOWLEDGMENT_OFFSET, acknowledgment >>> 0);
  segment[TCP_DATA_OFFSET_OFFSET] = (TCP_HEADER_SIZE / 4) << 4;
  segment[TCP_FLAGS_OFFSET] = flags;
  write16(segment, TCP_WINDOW_OFFSET, window);
  const bytes = encodeIp({
    source: bytesOf(ends.source),
    destination: bytesOf(ends.destination),
    payload: segment,
    protocol: PROTOCOL_TCP,
  });
  const ip = new IpHeader();
  ip.read(bytes);
  writePlainChecksum(bytes, ip);
  return bytes;
}

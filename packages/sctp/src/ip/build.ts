// Making IP packets: for answers, probes and tests.
import { write16, write32 } from "../wire/tlv.ts";
import { internetChecksum } from "./checksum.ts";
import {
  IPV4_CHECKSUM_OFFSET,
  IPV4_DESTINATION_OFFSET,
  IPV4_HEADER_SIZE,
  IPV4_SOURCE_OFFSET,
  IPV6_DESTINATION_OFFSET,
  IPV6_HEADER_SIZE,
  IPV6_SOURCE_OFFSET,
  PROTOCOL,
} from "./header.ts";

export interface IpFields {
  /** 4 or 16 bytes; both of one family. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly payload: Uint8Array;
  /** Default SCTP. */
  readonly protocol?: number;
  /** TTL or hop limit; default 64. */
  readonly hopLimit?: number;
  /** DSCP and ECN, default 0. */
  readonly trafficClass?: number;
  /** IPv4 only; default 0, which goes with `dontFragment`. */
  readonly identification?: number;
  /** IPv4 only; default true. */
  readonly dontFragment?: boolean;
  /** IPv6 only, 20 bits. */
  readonly flowLabel?: number;
}

/** A whole IPv4 or IPv6 packet, without options or extension headers. */
export function encodeIp(fields: IpFields): Uint8Array {
  return fields.source.length === 4 ? encodeIpv4(fields) : encodeIpv6(fields);
}

function encodeIpv4(fields: IpFields): Uint8Array {
  const size = IPV4_HEADER_SIZE + fields.payload.length;
  const bytes = new Uint8Array(size);
  bytes[0] = 0x45;
  bytes[1] = fields.trafficClass ?? 0;
  write16(bytes, 2, size);
  write16(bytes, 4, fields.identification ?? 0);
  write16(bytes, 6, (fields.dontFragment ?? true) ? 0x4000 : 0);
  bytes[8] = fields.hopLimit ?? 64;
  bytes[9] = fields.protocol ?? PROTOCOL.SCTP;
  bytes.set(fields.source, IPV4_SOURCE_OFFSET);
  bytes.set(fields.destination, IPV4_DESTINATION_OFFSET);
  bytes.set(fields.payload, IPV4_HEADER_SIZE);
  writeIpv4Checksum(bytes);
  return bytes;
}

/** Computes and stores the header checksum of the IPv4 packet at the start of `bytes`. */
export function writeIpv4Checksum(bytes: Uint8Array): void {
  const headerLength = ((bytes[0] as number) & 0x0f) * 4;
  write16(bytes, IPV4_CHECKSUM_OFFSET, 0);
  write16(bytes, IPV4_CHECKSUM_OFFSET, internetChecksum(bytes, 0, headerLength));
}

function encodeIpv6(fields: IpFields): Uint8Array {
  const bytes = new Uint8Array(IPV6_HEADER_SIZE + fields.payload.length);
  write32(bytes, 0, (0x60000000 | ((fields.trafficClass ?? 0) << 20) | (fields.flowLabel ?? 0)) >>> 0);
  write16(bytes, 4, fields.payload.length);
  bytes[6] = fields.protocol ?? PROTOCOL.SCTP;
  bytes[7] = fields.hopLimit ?? 64;
  bytes.set(fields.source, IPV6_SOURCE_OFFSET);
  bytes.set(fields.destination, IPV6_DESTINATION_OFFSET);
  bytes.set(fields.payload, IPV6_HEADER_SIZE);
  return bytes;
}

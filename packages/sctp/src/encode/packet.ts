// Making packets: for answers, probes and tests.
import { writeChecksum } from "../checksum/crc32c.ts";
import { COMMON_HEADER_SIZE } from "../wire/packet.ts";
import { paddedLength, TLV_HEADER_SIZE, write16, write32 } from "../wire/tlv.ts";

export interface PacketFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly verificationTag: number;
  /** Encoded chunks, padded or not; each is padded with zeros here. */
  readonly chunks: readonly Uint8Array[];
}

/** A whole SCTP packet with its checksum. */
export function encodePacket(fields: PacketFields): Uint8Array {
  let size = COMMON_HEADER_SIZE;
  for (const chunk of fields.chunks) size += paddedLength(chunk.length);
  const bytes = new Uint8Array(size);
  write16(bytes, 0, fields.sourcePort);
  write16(bytes, 2, fields.destinationPort);
  write32(bytes, 4, fields.verificationTag);
  let offset = COMMON_HEADER_SIZE;
  for (const chunk of fields.chunks) {
    bytes.set(chunk, offset);
    offset += paddedLength(chunk.length);
  }
  writeChecksum(bytes, 0, size);
  return bytes;
}

/** A chunk with its value; the result is padded, the length field is not. */
export function encodeChunk(type: number, flags: number, ...values: readonly Uint8Array[]): Uint8Array {
  const bytes = tlv(values);
  bytes[0] = type;
  bytes[1] = flags;
  return bytes;
}

/** A parameter or an error cause; padded, its length field is not. */
export function encodeParameter(type: number, ...values: readonly Uint8Array[]): Uint8Array {
  const bytes = tlv(values);
  write16(bytes, 0, type);
  return bytes;
}

function tlv(values: readonly Uint8Array[]): Uint8Array {
  let length = TLV_HEADER_SIZE;
  for (const value of values) length += value.length;
  const bytes = new Uint8Array(paddedLength(length));
  write16(bytes, 2, length);
  let offset = TLV_HEADER_SIZE;
  for (const value of values) {
    bytes.set(value, offset);
    offset += value.length;
  }
  return bytes;
}

/** Parameters (or causes) one behind the other; an encoder's value argument. */
export function joinParameters(parameters: readonly Uint8Array[]): Uint8Array {
  let size = 0;
  for (const parameter of parameters) size += paddedLength(parameter.length);
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const parameter of parameters) {
    bytes.set(parameter, offset);
    offset += paddedLength(parameter.length);
  }
  return bytes;
}

// An SCTP packet as a view of its bytes: common header, and chunks that are offsets, never copies.
//
//    0                   1                   2                   3
//   +-------------------------------+-------------------------------+
//   | source port                   | destination port              |   RFC 9260 §3.1
//   +-------------------------------+-------------------------------+
//   | verification tag                                              |
//   +---------------------------------------------------------------+
//   | checksum (CRC32c, least significant byte first)               |
//   +---------------------------------------------------------------+
//   | chunks …                                                      |
import { type Malformed, type MalformedReason, malformed } from "./malformed.ts";
import { CHUNK, CHUNK_KEPT_COUNT } from "./numbers.ts";
import { CHUNKS, read8, read16, read32, TLV_HEADER_SIZE, TlvWalker } from "./tlv.ts";

export const COMMON_HEADER_SIZE = 12;
export const SOURCE_PORT_OFFSET = 0;
export const DESTINATION_PORT_OFFSET = 2;
export const VERIFICATION_TAG_OFFSET = 4;
/** The largest SCTP packet an IP packet can hold. */
export const PACKET_SIZE_MAX = 65_535;

/** One chunk. `offset` counts from the start of `bytes`, `length` is the wire's: header in, padding out. */
export interface Chunk {
  readonly type: number;
  readonly flags: number;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

export interface Packet {
  readonly bytes: Uint8Array;
  /** bytes[start, end) is the SCTP packet. */
  readonly start: number;
  readonly end: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly verificationTag: number;
  /** The first CHUNK_KEPT_COUNT, and of those behind them the first of each type that was not there yet. */
  readonly chunks: readonly Chunk[];
  /** All of them; see `allChunks`. */
  readonly chunkCount: number;
}

/**
 * Reads the common header and finds all chunks of bytes[start, end). The checksum is not looked at
 * (`verifyChecksum`), chunk contents are not either, nor which chunks may travel together (`bundlingFault`).
 */
export function parsePacket(bytes: Uint8Array, start = 0, end: number = bytes.length): Packet | Malformed {
  if (end - start < COMMON_HEADER_SIZE) return malformed("packet-too-short", start);
  if (end - start > PACKET_SIZE_MAX) return malformed("packet-too-long", start);
  const sourcePort = read16(bytes, start + SOURCE_PORT_OFFSET);
  const destinationPort = read16(bytes, start + DESTINATION_PORT_OFFSET);
  if (sourcePort === 0) return malformed("port-zero", start + SOURCE_PORT_OFFSET);
  if (destinationPort === 0) return malformed("port-zero", start + DESTINATION_PORT_OFFSET);
  const chunks: Chunk[] = [];
  const walker = new TlvWalker(CHUNKS, bytes, start + COMMON_HEADER_SIZE, end);
  let types: Uint8Array | undefined;
  while (walker.next()) {
    const { offset, length } = walker;
    if (chunks.length < CHUNK_KEPT_COUNT) chunks.push(chunkAt(bytes, offset, length));
    else {
      types ??= typesOf(chunks);
      const type = read8(bytes, offset);
      if (types[type] === 1) continue;
      types[type] = 1;
      chunks.push(chunkAt(bytes, offset, length));
    }
  }
  if (walker.refusal !== undefined) return malformed(walker.refusal, walker.offset);
  if (chunks.length === 0) return malformed("no-chunk", end);
  return {
    bytes,
    start,
    end,
    sourcePort,
    destinationPort,
    verificationTag: read32(bytes, start + VERIFICATION_TAG_OFFSET),
    chunks,
    chunkCount: walker.count,
  };
}

/** 1 at every type that occurs. */
function typesOf(chunks: readonly Chunk[]): Uint8Array {
  const types = new Uint8Array(256);
  for (const chunk of chunks) types[chunk.type] = 1;
  return types;
}

/** Every chunk, also those that `chunks` leaves out. */
export function* allChunks({ bytes, start, end, chunks, chunkCount }: Packet): Generator<Chunk> {
  if (chunks.length === chunkCount) return yield* chunks;
  const walker = new TlvWalker(CHUNKS, bytes, start + COMMON_HEADER_SIZE, end);
  while (walker.next()) yield chunkAt(bytes, walker.offset, walker.length);
}

function chunkAt(bytes: Uint8Array, offset: number, length: number): Chunk {
  return { type: read8(bytes, offset), flags: read8(bytes, offset + 1), bytes, offset, length };
}

/** The chunk's value, a view without header and padding. */
export function chunkValue(chunk: Chunk): Uint8Array {
  return chunk.bytes.subarray(chunk.offset + TLV_HEADER_SIZE, chunk.offset + chunk.length);
}

/** The first chunk of a type, wherever it stands: ABORT and its like may follow others. */
export function findChunk(packet: Packet, type: number): Chunk | undefined {
  return packet.chunks.find((chunk) => chunk.type === type);
}

/**
 * Which chunks may travel together and with which tag (RFC 9260 §6.10, §8.5.1):
 * - INIT, INIT-ACK and SHUTDOWN-COMPLETE are alone in their packet;
 * - INIT has verification tag 0, and nothing else has;
 * - COOKIE-ECHO and COOKIE-ACK come first, or right behind an AUTH that covers them (RFC 4895 §6.3).
 * undefined: nothing to object to.
 */
export function bundlingFault(packet: Packet): MalformedReason | undefined {
  const { chunks } = packet;
  for (let i = 0; i < chunks.length; i++) {
    switch ((chunks[i] as Chunk).type) {
      case CHUNK.INIT:
      case CHUNK.INIT_ACK:
      case CHUNK.SHUTDOWN_COMPLETE:
        if (chunks.length > 1) return "chunk-not-alone";
        break;
      case CHUNK.COOKIE_ECHO:
      case CHUNK.COOKIE_ACK:
        if (i > 0 && !(i === 1 && (chunks[0] as Chunk).type === CHUNK.AUTH)) return "chunk-not-first";
        break;
    }
  }
  const init = (chunks[0] as Chunk).type === CHUNK.INIT;
  return init === (packet.verificationTag === 0) ? undefined : "init-tag";
}

// Parameters of a chunk and causes of an ERROR or ABORT, as views.
import { type Malformed, malformed } from "./malformed.ts";
import { CHUNK, PARAMETER } from "./numbers.ts";
import type { Chunk } from "./packet.ts";
import { CAUSES, PARAMETERS, read16, TLV_HEADER_SIZE, type TlvKind, TlvWalker } from "./tlv.ts";

/** A parameter or cause. `offset` counts from the start of `bytes`, `length` excludes padding. */
export interface Parameter {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly offset: number;
  readonly length: number;
}

/** The value without header and padding; a view. */
export function parameterValue(parameter: Parameter): Uint8Array {
  return parameter.bytes.subarray(parameter.offset + TLV_HEADER_SIZE, parameter.offset + parameter.length);
}

/** Parameters in bytes[start, end). */
export function parseParameters(bytes: Uint8Array, start: number, end: number): Parameter[] | Malformed {
  return collect(PARAMETERS, bytes, start, end);
}

/** Causes of an ERROR or ABORT chunk. */
export function parseCauses(chunk: Chunk): Parameter[] | Malformed {
  return collect(CAUSES, chunk.bytes, chunk.offset + TLV_HEADER_SIZE, chunk.offset + chunk.length);
}

/**
 * Parameters of a chunk behind its fixed part: INIT, INIT-ACK, HEARTBEAT, ASCONF, RE-CONFIG; empty for
 * others.
 */
export function parametersOf(chunk: Chunk): Parameter[] | Malformed {
  const fixed = FIXED_PART_SIZE.get(chunk.type);
  if (fixed === undefined) return [];
  if (chunk.length < fixed) return malformed("fixed-part-truncated", chunk.offset);
  return collect(PARAMETERS, chunk.bytes, chunk.offset + fixed, chunk.offset + chunk.length);
}

/** Bytes from the chunk's start to its first parameter. */
const FIXED_PART_SIZE: ReadonlyMap<number, number> = new Map([
  [CHUNK.INIT, 20],
  [CHUNK.INIT_ACK, 20],
  [CHUNK.HEARTBEAT, 4],
  [CHUNK.HEARTBEAT_ACK, 4],
  [CHUNK.ASCONF, 8],
  [CHUNK.ASCONF_ACK, 8],
  [CHUNK.RE_CONFIG, 4],
]);

function collect(kind: TlvKind, bytes: Uint8Array, start: number, end: number): Parameter[] | Malformed {
  const found: Parameter[] = [];
  const walker = new TlvWalker(kind, bytes, start, end);
  while (walker.next()) {
    found.push({ type: read16(bytes, walker.offset), bytes, offset: walker.offset, length: walker.length });
  }
  return walker.refusal === undefined ? found : malformed(walker.refusal, walker.offset);
}

/** Value sizes of address parameters. */
export const IPV4_SIZE = 4;
export const IPV6_SIZE = 16;

/**
 * The address of an IPv4 or IPv6 Address parameter (a view of 4 or 16 bytes), undefined for other parameters,
 * or malformed when the length is wrong.
 */
export function addressOf(parameter: Parameter): Uint8Array | Malformed | undefined {
  const size = addressSize(parameter.type);
  if (size === undefined) return undefined;
  if (parameter.length !== TLV_HEADER_SIZE + size) return malformed("parameter-length", parameter.offset);
  return parameterValue(parameter);
}

/** 4, 16, or undefined when the type is not an address parameter. */
export function addressSize(type: number): number | undefined {
  if (type === PARAMETER.IPV4_ADDRESS) return IPV4_SIZE;
  return type === PARAMETER.IPV6_ADDRESS ? IPV6_SIZE : undefined;
}

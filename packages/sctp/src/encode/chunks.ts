// One encoder for each chunk that Holdfast sends itself, or that probes and tests need.
import { CAUSE, CHUNK, PARAMETER, T_BIT } from "../wire/numbers.ts";
import { write16, write32 } from "../wire/tlv.ts";
import { encodeChunk, encodeParameter, joinParameters } from "./packet.ts";

export interface InitFields {
  /** Not 0. */
  readonly initiateTag: number;
  /** Bytes; RFC 9260 §3.3.2 wants at least 1,500. */
  readonly receiverWindow?: number;
  readonly outboundStreams?: number;
  readonly inboundStreams?: number;
  readonly initialTsn?: number;
  /** Encoded parameters in their order. */
  readonly parameters?: readonly Uint8Array[];
}

export function encodeInit(fields: InitFields): Uint8Array {
  return encodeInitLike(CHUNK.INIT, fields);
}

export function encodeInitAck(fields: InitFields): Uint8Array {
  return encodeInitLike(CHUNK.INIT_ACK, fields);
}

function encodeInitLike(type: number, fields: InitFields): Uint8Array {
  const fixed = new Uint8Array(16);
  write32(fixed, 0, fields.initiateTag);
  write32(fixed, 4, fields.receiverWindow ?? 65_536);
  write16(fixed, 8, fields.outboundStreams ?? 10);
  write16(fixed, 10, fields.inboundStreams ?? 10);
  write32(fixed, 12, fields.initialTsn ?? fields.initiateTag);
  return encodeChunk(type, 0, fixed, joinParameters(fields.parameters ?? []));
}

/** Address parameter of 4 or 16 bytes. */
export function encodeAddress(address: Uint8Array): Uint8Array {
  return encodeParameter(address.length === 4 ? PARAMETER.IPV4_ADDRESS : PARAMETER.IPV6_ADDRESS, address);
}

/** ABORT. `reflected` sets the T bit: the tag is the one that the answered packet carried (RFC 9260 §8.4). */
export function encodeAbort(
  options: { readonly reflected?: boolean; readonly causes?: readonly Uint8Array[] } = {},
): Uint8Array {
  return encodeChunk(CHUNK.ABORT, options.reflected ? T_BIT : 0, joinParameters(options.causes ?? []));
}

export function encodeError(causes: readonly Uint8Array[]): Uint8Array {
  return encodeChunk(CHUNK.ERROR, 0, joinParameters(causes));
}

export function encodeShutdownComplete(options: { readonly reflected?: boolean } = {}): Uint8Array {
  return encodeChunk(CHUNK.SHUTDOWN_COMPLETE, options.reflected ? T_BIT : 0);
}

export function encodeShutdown(cumulativeTsn: number): Uint8Array {
  return encodeChunk(CHUNK.SHUTDOWN, 0, word(cumulativeTsn));
}

export function encodeShutdownAck(): Uint8Array {
  return encodeChunk(CHUNK.SHUTDOWN_ACK, 0);
}

export function encodeCookieEcho(cookie: Uint8Array): Uint8Array {
  return encodeChunk(CHUNK.COOKIE_ECHO, 0, cookie);
}

export function encodeCookieAck(): Uint8Array {
  return encodeChunk(CHUNK.COOKIE_ACK, 0);
}

/** HEARTBEAT with opaque sender information. */
export function encodeHeartbeat(information: Uint8Array): Uint8Array {
  return encodeChunk(CHUNK.HEARTBEAT, 0, encodeParameter(PARAMETER.HEARTBEAT_INFO, information));
}

export function encodeHeartbeatAck(information: Uint8Array): Uint8Array {
  return encodeChunk(CHUNK.HEARTBEAT_ACK, 0, encodeParameter(PARAMETER.HEARTBEAT_INFO, information));
}

export interface DataFields {
  readonly tsn: number;
  readonly stream?: number;
  readonly sequence?: number;
  /** Payload protocol identifier, network byte order as on the wire. */
  readonly protocol?: number;
  /** Low bits U, B, E and I; default B and E, a whole message. */
  readonly flags?: number;
  readonly data: Uint8Array;
}

export function encodeData(fields: DataFields): Uint8Array {
  const fixed = new Uint8Array(12);
  write32(fixed, 0, fields.tsn);
  write16(fixed, 4, fields.stream ?? 0);
  write16(fixed, 6, fields.sequence ?? 0);
  write32(fixed, 8, fields.protocol ?? 0);
  return encodeChunk(CHUNK.DATA, fields.flags ?? 3, fixed, fields.data);
}

/** SACK without gap blocks. */
export function encodeSack(cumulativeTsn: number, receiverWindow = 65_536): Uint8Array {
  const fixed = new Uint8Array(12);
  write32(fixed, 0, cumulativeTsn);
  write32(fixed, 4, receiverWindow);
  return encodeChunk(CHUNK.SACK, 0, fixed);
}

/** Cause 6: carries the chunk that was not recognised, whole. */
export function encodeUnrecognizedChunk(chunk: Uint8Array): Uint8Array {
  return encodeParameter(CAUSE.UNRECOGNIZED_CHUNK, chunk);
}

/** Cause 5: carries the parameter that could not be resolved, whole. */
export function encodeUnresolvableAddress(parameter: Uint8Array): Uint8Array {
  return encodeParameter(CAUSE.UNRESOLVABLE_ADDRESS, parameter);
}

/** Cause 11: the addresses (4 or 16 bytes each) that a restart added (RFC 9260 §5.2.2). */
export function encodeRestartWithNewAddresses(addresses: readonly Uint8Array[]): Uint8Array {
  return encodeParameter(CAUSE.RESTART_WITH_NEW_ADDRESSES, joinParameters(addresses.map(encodeAddress)));
}

/** Cause 12, with a reason in UTF-8. */
export function encodeUserInitiatedAbort(reason = ""): Uint8Array {
  return encodeParameter(CAUSE.USER_INITIATED_ABORT, new TextEncoder().encode(reason));
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  write32(bytes, 0, value);
  return bytes;
}

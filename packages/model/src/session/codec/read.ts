// Bytes to records and deltas: total, within the bounds of format.ts.

import { PROTOCOL_SCTP, serviceIdOf } from "../../service.ts";
import { ByteReader, ipv4Text } from "../bytes.ts";
import type { End, SessionDelta } from "../record.ts";
import { readBody, readPhase, type Writable } from "../sctp/read-body.ts";
import {
  ADDRESS_IPV4,
  ADDRESS_IPV6,
  ADDRESS_TEXT,
  CAUSES,
  HAS_ACTIVITY,
  HAS_CREATED,
  HAS_END,
  HAS_IDENTITY,
  RECORD_BYTES_MAX,
  TEXT_LENGTH_MAX,
} from "./format.ts";

export type SessionDecoding =
  | { readonly delta: SessionDelta; readonly end: number }
  | { readonly malformed: "truncated" | "out-of-bounds" | "trailing" };

/** Decodes the bytes of exactly one record or delta. */
export function decodeSession(bytes: Uint8Array, offset = 0, end = bytes.length): SessionDecoding {
  if (end - offset > RECORD_BYTES_MAX) return { malformed: "out-of-bounds" };
  const input = new ByteReader(bytes, offset, end);
  const delta = readSession(input);
  if (delta === undefined) return { malformed: "out-of-bounds" };
  if (input.failed) return { malformed: "truncated" };
  return input.offset === end ? { delta, end } : { malformed: "trailing" };
}

/** undefined: a bound was broken. Check `input.failed` too. */
function readSession(input: ByteReader): SessionDelta | undefined {
  const delta: Writable<SessionDelta> = { id: input.sessionId() };
  if (input.failed) return delta;
  const flags = input.u8();
  if (flags & HAS_IDENTITY) {
    if (input.u8() !== PROTOCOL_SCTP) return undefined;
    delta.protocol = PROTOCOL_SCTP;
    delta.serviceId = readService(input);
    delta.clientPort = input.u16();
    if (!input.failed && delta.serviceId === "") return undefined;
  }
  if (flags & HAS_CREATED) delta.createdAtMs = input.varint();
  if (!readBody(input, flags, delta)) return undefined;
  if (flags & HAS_ACTIVITY) delta.activity = input.varint();
  if (flags & HAS_END) {
    const end = readEnd(input);
    if (end === undefined) return undefined;
    delta.end = end;
  }
  return delta;
}

/** The end that stands behind the first `length` bytes of a record, and nothing behind it. */
export function readAppendedEnd(bytes: Uint8Array, length: number): End | undefined {
  if (bytes.length > RECORD_BYTES_MAX) return undefined;
  const input = new ByteReader(bytes, length);
  const end = readEnd(input);
  return input.finished ? end : undefined;
}

/** Services are few and sessions many: those of one service share its id. Bounded, emptied when full. */
const serviceIds = new Map<number, string>();
const SERVICE_ID_COUNT_MAX = 4096;

function readService(input: ByteReader): string {
  const kind = input.u8();
  if (kind === ADDRESS_IPV4) {
    const address = input.u32();
    const port = input.u16();
    const key = address * 0x1_0000 + port;
    let id = serviceIds.get(key);
    if (id === undefined) {
      if (serviceIds.size >= SERVICE_ID_COUNT_MAX) serviceIds.clear();
      id = serviceIdOf(PROTOCOL_SCTP, ipv4Text(address), port);
      serviceIds.set(key, id);
    }
    return id;
  }
  if (kind === ADDRESS_IPV6) return serviceIdOf(PROTOCOL_SCTP, input.ipv6(), input.u16());
  if (kind !== ADDRESS_TEXT) input.fail();
  return input.text(TEXT_LENGTH_MAX);
}

function readEnd(input: ByteReader): End | undefined {
  const cause = CAUSES[input.u8()];
  const flags = input.u8();
  const phaseSeen = readPhase(flags >>> 1);
  if (cause === undefined || phaseSeen === undefined) return undefined;
  return {
    cause,
    absorbing: (flags & 1) === 1,
    phaseSeen,
    epochSeen: input.varint(),
    activitySeen: input.varint(),
  };
}

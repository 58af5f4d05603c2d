// The name of a session: two members that see the same INIT, also from different addresses, must give the
// same.
import { hash } from "node:crypto";
import { parse } from "uuid";
import type { Address } from "../address.ts";
import type { ServiceId } from "../service.ts";
import { compareText } from "./order.ts";
import type { SessionId, Tag } from "./record.ts";

/** Namespace of Holdfast's session ids. Never changes. */
const SESSION_NAMESPACE = "4b1d0c6e-6a55-5f0e-9d56-3f6c1f1f5a10";
const NAMESPACE_SIZE = 16;
/** The namespace, and room for a name behind it: no INIT makes a buffer. */
const named = Buffer.alloc(512);
named.set(parse(SESSION_NAMESPACE));

/**
 * uuid v5 of service, client port, initiate tag and the smallest (by code unit) of the INIT's source and the
 * addresses it lists, before any filter: a retransmitted INIT may come from another source (RFC 9260 §5.1.2).
 */
export function sessionIdOf(
  serviceId: ServiceId,
  clientPort: number,
  initiateTag: Tag,
  source: Address,
  listed: readonly Address[],
): SessionId {
  let smallest: string = source;
  for (const address of listed) if (compareText(address, smallest) < 0) smallest = address;
  return v5(`${serviceId}|${clientPort}|${initiateTag}|${smallest}`);
}

/**
 * RFC 9562 §5.5, in one call of the hash: the uuid package takes three times as long for every INIT, and the
 * test compares both.
 */
function v5(name: string): SessionId {
  const size = Buffer.byteLength(name);
  const isShort = size <= named.length - NAMESPACE_SIZE;
  const input = isShort ? named : Buffer.concat([named.subarray(0, NAMESPACE_SIZE)], NAMESPACE_SIZE + size);
  input.write(name, NAMESPACE_SIZE);
  const bytes = hash("sha1", input.subarray(0, NAMESPACE_SIZE + size), "buffer");
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return sessionIdFromBytes(bytes);
}

const SESSION_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether text from outside could be an id: what is not must be refused before any table is asked. */
export function isSessionId(text: string): text is SessionId {
  return SESSION_ID.test(text);
}

/** The 16 bytes of an id. Throws on text that is no uuid: ids come from `sessionIdOf` or the codec only. */
export function sessionIdToBytes(id: SessionId, target = new Uint8Array(16), offset = 0): Uint8Array {
  if (id.length !== 36) throw new RangeError(`not a session id: ${id}`);
  let at = offset;
  for (let i = 0; i < 36; i += 2) {
    if (i === 8 || i === 13 || i === 18 || i === 23) i++;
    const byte = (digit(id.charCodeAt(i)) << 4) | digit(id.charCodeAt(i + 1));
    if (byte < 0) throw new RangeError(`not a session id: ${id}`);
    target[at++] = byte;
  }
  return target;
}

function digit(code: number): number {
  if (code >= 48 && code <= 57) return code - 48;
  if (code >= 97 && code <= 102) return code - 87;
  return -1;
}

const HEX_DIGITS = Uint8Array.from("0123456789abcdef", (digit) => digit.charCodeAt(0));
/** 8-4-4-4-12 digits, the hyphens in place. */
const text = Buffer.from("00000000-0000-0000-0000-000000000000", "latin1");

/**
 * One flat string: put together from pieces it would keep a kilobyte of them alive, and every session has
 * one.
 */
export function sessionIdFromBytes(bytes: Uint8Array, offset = 0): SessionId {
  let at = 0;
  for (let i = 0; i < 16; i++) {
    const byte = bytes[offset + i] as number;
    if (i === 4 || i === 6 || i === 8 || i === 10) at++;
    text[at++] = HEX_DIGITS[byte >>> 4] as number;
    text[at++] = HEX_DIGITS[byte & 15] as number;
  }
  return text.toString("latin1");
}

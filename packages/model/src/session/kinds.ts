// The table of bodies: protocol → what its sessions are. Sessions of protocols that do not stand here are
// carried as bytes (codec/foreign.ts) for the members that know them.

import { PLAIN_SESSIONS } from "../plain/kind.ts";
import type { Protocol } from "../service.ts";
import { ByteWriter } from "./bytes.ts";
import { foreignFactOf } from "./codec/foreign.ts";
import { FLAGS_OFFSET, HAS_IDENTITY } from "./codec/format.ts";
import type { DeltaOf, SessionKind } from "./kind.ts";
import type { SessionEnvelope } from "./record.ts";
import { SCTP_SESSIONS } from "./sctp/kind.ts";

/** A kind whose records are of a type that only those know who ask for it by name. */
// biome-ignore lint/suspicious/noExplicitAny: functions only get the records that they made.
export type AnyKind = SessionKind<any>;

const KINDS: readonly AnyKind[] = [SCTP_SESSIONS, PLAIN_SESSIONS];
const byProtocol: ReadonlyMap<Protocol, AnyKind> = new Map(
  KINDS.flatMap((kind) => kind.protocols.map((protocol) => [protocol, kind] as const)),
);

const scratch = new ByteWriter();

/** undefined: this version does not know the protocol. */
export function kindOf(protocol: Protocol): AnyKind | undefined {
  return byProtocol.get(protocol);
}

/**
 * The protocol that a record or delta says it is of; undefined: it does not say (facts without the identity:
 * SCTP's).
 */
export function protocolOfBytes(bytes: Uint8Array): Protocol | undefined {
  return ((bytes[FLAGS_OFFSET] ?? 0) & HAS_IDENTITY) === 0 ? undefined : bytes[FLAGS_OFFSET + 1];
}

/** The kind that reads the bytes; undefined: none does. Facts that do not say their protocol are SCTP's. */
export function kindOfBytes(bytes: Uint8Array): AnyKind | undefined {
  const protocol = protocolOfBytes(bytes);
  return protocol === undefined ? SCTP_SESSIONS : kindOf(protocol);
}

/** Canonical bytes of a record or delta of a kind. */
export function encodeWith<R extends SessionEnvelope>(kind: SessionKind<R>, delta: DeltaOf<R>): Uint8Array {
  scratch.clear();
  kind.write(scratch, delta);
  return scratch.copy();
}

/**
 * Whether the bytes say something of a session: sound when their kind is known, else whole in their frame.
 */
export function isSessionFact(bytes: Uint8Array): boolean {
  const protocol = protocolOfBytes(bytes);
  if (protocol === undefined) return SCTP_SESSIONS.isSound(bytes) || foreignFactOf(bytes) !== undefined;
  return kindOf(protocol)?.isSound(bytes) ?? foreignFactOf(bytes) !== undefined;
}

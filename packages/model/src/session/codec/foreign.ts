// Facts of later versions about a session, or about something else with an id of the same form. Their frame
// is fixed for all versions to come, so that a member which cannot read them checks them, keeps them, and
// hands them on byte for byte:
//
//   foreign record = id(16) flags(1) protocol(1) service clientPort(2) [createdAt] [activity] [end] body
//   further fact   = id(16) 0 kind(1, not 0) marks(1) body
//
// A foreign record is one of another protocol: fields before the body as of format.ts, with its flags;
// identity always there. A further fact says something about a record, of whatever protocol, and lives as
// long as that. The lowest bit of its marks: it says that what the id names has ended for good. What a body
// says, and how two bodies join, only those know who write them; here they are a set of byte strings.
import { PROTOCOL_SCTP, serviceIdOf } from "../../service.ts";
import { ByteReader, ipv4Text } from "../bytes.ts";
import { NEVER } from "../envelope.ts";
import type { SessionEnvelope, SessionId } from "../record.ts";
import {
  ADDRESS_IPV4,
  ADDRESS_IPV6,
  ADDRESS_TEXT,
  HAS_ACTIVITY,
  HAS_CREATED,
  HAS_END,
  HAS_IDENTITY,
  RECORD_BYTES_MAX,
  TEXT_LENGTH_MAX,
} from "./format.ts";

const MARK_ENDED = 1;

/** What can be told of a session of a protocol that this version does not know. */
export interface ForeignSession extends Omit<SessionEnvelope, "end"> {
  /** Nothing that is known of it went on after its end. */
  readonly isEnded: boolean;
}

export interface ForeignFact {
  /** A record; else it is about one. */
  readonly isRecord: boolean;
  /** Of records. */
  readonly envelope?: Omit<SessionEnvelope, "end" | "activity">;
  /** Activity epoch that it names; 0: none. */
  readonly activity: number;
  /** `final`: nothing brings it back. A number: it timed out, as of this activity epoch. */
  readonly end: "final" | number | undefined;
}

/**
 * What can be told of a fact that cannot be read; undefined: it is none, or its frame is broken. Never
 * throws.
 */
export function foreignFactOf(bytes: Uint8Array): ForeignFact | undefined {
  if (bytes.length > RECORD_BYTES_MAX) return undefined;
  const input = new ByteReader(bytes);
  const id = input.sessionId();
  const flags = input.u8();
  const fact = flags === 0 ? furtherFact(input) : foreignRecord(input, id, flags);
  return input.failed ? undefined : fact;
}

function furtherFact(input: ByteReader): ForeignFact | undefined {
  if (input.u8() === 0) return undefined;
  const marks = input.u8();
  return { isRecord: false, activity: 0, end: (marks & MARK_ENDED) === 0 ? undefined : "final" };
}

function foreignRecord(input: ByteReader, id: SessionId, flags: number): ForeignFact | undefined {
  if ((flags & HAS_IDENTITY) === 0) return undefined;
  const protocol = input.u8();
  if (protocol === PROTOCOL_SCTP) return undefined;
  const serviceId = readService(input, protocol);
  if (serviceId === "") return undefined;
  const clientPort = input.u16();
  const createdAtMs = flags & HAS_CREATED ? input.varint() : NEVER;
  const activity = flags & HAS_ACTIVITY ? input.varint() : 0;
  const envelope = { id, protocol, serviceId, clientPort, createdAtMs };
  if ((flags & HAS_END) === 0) return { isRecord: true, envelope, activity, end: undefined };
  input.skip(1);
  const isFinal = (input.u8() & 1) === 1;
  input.varint();
  const activitySeen = input.varint();
  return { isRecord: true, envelope, activity, end: isFinal ? "final" : activitySeen };
}

/**
 * The session that facts about one id are of, joined as envelopes are; undefined: no record is among them.
 */
export function foreignSessionOf(facts: readonly ForeignFact[]): ForeignSession | undefined {
  const activity = facts.reduce((most, fact) => Math.max(most, fact.activity), 0);
  let session: ForeignSession | undefined;
  for (const { envelope } of facts) {
    if (envelope === undefined) continue;
    const createdAtMs = Math.min(session?.createdAtMs ?? NEVER, envelope.createdAtMs);
    session = { ...(session ?? envelope), createdAtMs, activity, isEnded: isForeignEnded(facts, activity) };
  }
  return session;
}

/** What is known says that it has ended, and nothing of it says that it went on. */
export function isForeignEnded(facts: readonly ForeignFact[], activity: number): boolean {
  return facts.some(({ end }) => end === "final" || (end !== undefined && end >= activity));
}

function readService(input: ByteReader, protocol: number): string {
  const kind = input.u8();
  if (kind === ADDRESS_IPV4) return serviceIdOf(protocol, ipv4Text(input.u32()), input.u16());
  if (kind === ADDRESS_IPV6) return serviceIdOf(protocol, input.ipv6(), input.u16());
  return kind === ADDRESS_TEXT ? input.text(TEXT_LENGTH_MAX) : "";
}

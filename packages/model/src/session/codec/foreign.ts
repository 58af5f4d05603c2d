// Facts of later versions about a session, or about something else with an id of the same form. Their frame is fixed for
// all versions to come, so that a member which cannot read them checks them, keeps them, and hands them on byte for byte:
//
//   foreign record = id(16) flags(1) protocol(1) service clientPort(2) [createdAt] [activity] [end] body
//   further fact   = id(16) 0 kind(1, not 0) marks(1) body
//
// A foreign record is one of another protocol: fields before the body as of format.ts, with its flags; identity always there.
// A further fact says something about a record, of whatever protocol, and lives as long as that. The lowest bit of a further fact's marks: it says that what the id names has ended for good. What a body says, and how two
// bodies join, only those know who write them; here they are a set of byte strings.
import { PROTOCOL_SCTP } from "../../service.ts";
import { ByteReader } from "../bytes.ts";
import {
  ADDRESS_IPV4,
  ADDRESS_IPV6,
  ADDRESS_TEXT,
  FLAGS_OFFSET,
  HAS_ACTIVITY,
  HAS_CREATED,
  HAS_END,
  HAS_IDENTITY,
  RECORD_BYTES_MAX,
  TEXT_LENGTH_MAX,
} from "./format.ts";

const MARK_ENDED = 1;

export interface ForeignFact {
  /** A record; else it is about one. */
  readonly isRecord: boolean;
  /** Activity epoch that it names; 0: none. */
  readonly activity: number;
  /** `final`: nothing brings it back. A number: it timed out, as of this activity epoch. */
  readonly end: "final" | number | undefined;
}

/** What can be told of a fact that cannot be read; undefined: it is none, or its frame is broken. Never throws. */
export function foreignFactOf(bytes: Uint8Array): ForeignFact | undefined {
  if (bytes.length > RECORD_BYTES_MAX) return undefined;
  const input = new ByteReader(bytes);
  input.skip(FLAGS_OFFSET);
  const flags = input.u8();
  const fact = flags === 0 ? furtherFact(input) : foreignRecord(input, flags);
  return input.failed ? undefined : fact;
}

function furtherFact(input: ByteReader): ForeignFact | undefined {
  if (input.u8() === 0) return undefined;
  const marks = input.u8();
  return { isRecord: false, activity: 0, end: (marks & MARK_ENDED) === 0 ? undefined : "final" };
}

function foreignRecord(input: ByteReader, flags: number): ForeignFact | undefined {
  if ((flags & HAS_IDENTITY) === 0 || input.u8() === PROTOCOL_SCTP) return undefined;
  const service = input.u8();
  if (service === ADDRESS_IPV4) input.skip(6);
  else if (service === ADDRESS_IPV6) input.skip(18);
  else if (service !== ADDRESS_TEXT || input.text(TEXT_LENGTH_MAX) === "") return undefined;
  input.skip(2);
  if (flags & HAS_CREATED) input.varint();
  const activity = flags & HAS_ACTIVITY ? input.varint() : 0;
  if ((flags & HAS_END) === 0) return { isRecord: true, activity, end: undefined };
  input.skip(1);
  const isFinal = (input.u8() & 1) === 1;
  input.varint();
  const activitySeen = input.varint();
  return { isRecord: true, activity, end: isFinal ? "final" : activitySeen };
}

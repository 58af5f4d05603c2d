// Domain types, coded errors, the session record, and the ports of clock, randomness and logs.
export * from "./address.ts";
export * from "./announce.ts";
export * from "./clock.ts";
export * from "./configuration.ts";
export * from "./errors.ts";
export * from "./health-check.ts";
export * from "./logger.ts";
export * from "./loop-delay.ts";
export * from "./members.ts";
export * from "./ownership.ts";
export * from "./place.ts";
export { PLAIN_SESSIONS } from "./plain/kind.ts";
export * from "./plain/record.ts";
export * from "./plain/service.ts";
export * from "./prefix.ts";
export * from "./random.ts";
export * from "./removal.ts";
export * from "./service.ts";
export * from "./service-conflict.ts";
export * from "./service-rule.ts";
export { ByteReader, ByteWriter } from "./session/bytes.ts";
export * from "./session/codec/check.ts";
export {
  type ForeignFact,
  type ForeignSession,
  foreignFactOf,
  foreignSessionOf,
  isForeignEnded,
} from "./session/codec/foreign.ts";
export { RECORD_BYTES_MAX } from "./session/codec/format.ts";
export * from "./session/codec/read.ts";
export * from "./session/codec/write.ts";
export * from "./session/identity.ts";
export { emptyRecord, isIdentified, isSameEnd, join } from "./session/join.ts";
export * from "./session/kind.ts";
export {
  type AnyKind,
  encodeWith,
  isSessionFact,
  kindOf,
  kindOfBytes,
  protocolOfBytes,
} from "./session/kinds.ts";
export * from "./session/record.ts";
export { type CandidateIdentity, candidateKeyOf, parseCandidateKey } from "./session/sctp/candidate.ts";
export * from "./session/sctp/facts.ts";
export { ordinalOf } from "./session/sctp/generation.ts";
export { SCTP_SESSIONS } from "./session/sctp/kind.ts";
export * from "./session/table.ts";
export { type Needle, needleOfAddress, needleOfNumber } from "./session-table/needle.ts";
export { type LocalListener, type RemoteJoin, SessionView } from "./session-table/view.ts";
export * from "./slots.ts";

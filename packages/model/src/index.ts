// Domain types, coded errors, the session record, and the ports of clock, randomness and logs.
export * from "./address.ts";
export * from "./clock.ts";
export * from "./errors.ts";
export * from "./logger.ts";
export * from "./ownership.ts";
export * from "./random.ts";
export * from "./service.ts";
export { ByteReader, ByteWriter } from "./session/bytes.ts";
export { type CandidateIdentity, candidateKeyOf, parseCandidateKey } from "./session/candidate.ts";
export * from "./session/codec.ts";
export * from "./session/facts.ts";
export * from "./session/identity.ts";
export { compareEnds, emptyRecord, isIdentified, join } from "./session/join.ts";
export * from "./session/record.ts";
export * from "./session/table.ts";
export { type LocalListener, type RemoteJoin, SessionView } from "./session/view.ts";
export * from "./slots.ts";

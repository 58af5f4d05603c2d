// SCTP's row of the table of kinds.
import { PROTOCOL_SCTP } from "../../service.ts";
import { isSession } from "../codec/check.ts";
import { decodeSession, readAppendedEnd } from "../codec/read.ts";
import { writeSession, writeWithEnd } from "../codec/write.ts";
import { emptyRecord, join } from "../join.ts";
import type { SessionKind } from "../kind.ts";
import { PHASES, type SessionRecord } from "../record.ts";
import { complete } from "./complete.ts";
import {
  comparePrecedence,
  currentCandidate,
  effectivePhase,
  endpointTagsOf,
  hasSamePorts,
  hasTag,
  isEnded,
  natPortsOf,
  shownCandidate,
} from "./facts.ts";

export const SCTP_SESSIONS: SessionKind<SessionRecord> = {
  protocols: [PROTOCOL_SCTP],
  phases: PHASES,
  empty: emptyRecord,
  join,
  complete,
  write: writeSession,
  writeWithEnd,
  readAppendedEnd,
  tombstoneOf: ({ id, end }) => (end === undefined ? { id } : { id, end }),
  decode: decodeSession,
  isSound: isSession,
  isEnded,
  phaseOf: effectivePhase,
  comparePrecedence,
  clientsOf: ({ clients }) => clients,
  natPortsOf,
  currentPort: currentCandidate,
  shownPort: shownCandidate,
  tagsOf: endpointTagsOf,
  hasTag,
  hasSameBody: (a, b) =>
    a.clients === b.clients &&
    a.generations === b.generations &&
    a.commit === b.commit &&
    a.heard === b.heard,
  hasSamePorts,
};

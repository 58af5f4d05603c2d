// The join of two session records, or of a record and a delta: associative, commutative, idempotent. What
// members end with depends on the set of facts alone, not on their order, their number or their route. A
// record joins as its envelope (envelope.ts) and the body of its protocol (sctp/body.ts) do, each for itself.
//
// Bounded sets keep their laws because what stays is chosen by immutable keys (candidate.ts, generation.ts):
// an element that k better ones displaced is displaced in every greater set as well.
import { PROTOCOL_SCTP } from "../service.ts";
import { joinEnds, joinIdentity, NEVER } from "./envelope.ts";
import type { SessionDelta, SessionId, SessionRecord } from "./record.ts";
import { EMPTY_BODY, joinBody } from "./sctp/body.ts";

export { isIdentified, isSameEnd } from "./envelope.ts";
export { compareCommits } from "./sctp/body.ts";

/**
 * The record that knows nothing: the least element. Its identity (service id "" and client port 0) is
 * unknown.
 */
export function emptyRecord(id: SessionId): SessionRecord {
  const { clients, generations, commit, heard } = EMPTY_BODY;
  return {
    id,
    protocol: PROTOCOL_SCTP,
    serviceId: "",
    clientPort: 0,
    createdAtMs: NEVER,
    clients,
    generations,
    commit,
    heard,
    activity: 0,
    end: undefined,
  };
}

/** Joins what `delta` says into `record`. Returns `record` itself when nothing is new. */
export function join(record: SessionRecord, delta: SessionDelta): SessionRecord {
  const identity = joinIdentity(record, delta);
  const createdAtMs = Math.min(record.createdAtMs, delta.createdAtMs ?? NEVER);
  const activity = Math.max(record.activity, delta.activity ?? 0);
  const end = joinEnds(record.end, delta.end);
  const body = joinBody(record, delta);
  if (
    identity === record &&
    createdAtMs === record.createdAtMs &&
    body === record &&
    activity === record.activity &&
    end === record.end
  ) {
    return record;
  }
  return {
    id: record.id,
    protocol: record.protocol,
    serviceId: identity.serviceId,
    clientPort: identity.clientPort,
    createdAtMs,
    clients: body.clients,
    generations: body.generations,
    commit: body.commit,
    heard: body.heard,
    activity,
    end,
  };
}

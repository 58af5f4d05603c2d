// What differs between two states of a record, as far as the view's indices care.
import { samePlace } from "../place.ts";
import type { SessionRecord } from "../session/record.ts";
import type { CandidateIdentity } from "../session/sctp/candidate.ts";

/** Whether an end is all that is new. */
export function isOnlyEnded(a: SessionRecord, b: SessionRecord): boolean {
  return (
    a.end === undefined &&
    b.end !== undefined &&
    a.serviceId === b.serviceId &&
    a.clientPort === b.clientPort &&
    a.createdAtMs === b.createdAtMs &&
    a.clients === b.clients &&
    a.generations === b.generations &&
    a.commit === b.commit &&
    a.heard === b.heard &&
    a.activity === b.activity
  );
}

/** Whether both are found under the same keys; which of the addresses are verified does not matter. */
export function hasSameClients(a: SessionRecord, b: SessionRecord): boolean {
  if (a.clientPort !== b.clientPort || a.serviceId !== b.serviceId) return false;
  if (a.clients === b.clients) return true;
  if (a.clients.size !== b.clients.size) return false;
  for (const client of b.clients.keys()) if (!a.clients.has(client)) return false;
  return true;
}

export function hasSamePorts(a: readonly CandidateIdentity[], b: readonly CandidateIdentity[]): boolean {
  if (a.length !== b.length) return false;
  for (const [i, ours] of a.entries()) {
    const theirs = b[i] as CandidateIdentity;
    if (ours !== theirs && !samePlace(ours, theirs)) return false;
  }
  return true;
}

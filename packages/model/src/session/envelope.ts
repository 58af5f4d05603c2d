// Joining envelopes: what all protocols' sessions have.

import { compareText } from "./order.ts";
import type { End, SessionDelta, SessionEnvelope } from "./record.ts";
import { phaseRank } from "./sctp/generation.ts";

/** Nothing known yet about when it was made; greater than any wall clock. */
export const NEVER = Number.MAX_SAFE_INTEGER;

/** Whether the first facts with the identity have come: those of several members arrive in any order. */
export function isIdentified({ serviceId }: Pick<SessionEnvelope, "serviceId">): boolean {
  return serviceId !== "";
}

/** The id fixes the identity; should two differ nevertheless, the smaller one stays everywhere. */
export function joinIdentity(
  a: SessionEnvelope,
  b: SessionDelta,
): Pick<SessionEnvelope, "serviceId" | "clientPort"> {
  const { serviceId = "", clientPort = 0 } = b;
  if (serviceId === "") return a;
  const order = a.serviceId === "" ? 1 : compareText(a.serviceId, serviceId) || a.clientPort - clientPort;
  return order <= 0 ? a : { serviceId, clientPort };
}

/**
 * The end that has seen what either saw; `a` itself when `b` saw nothing that `a` did not. Of what was ended
 * the later commit stays, since an end of an earlier generation says nothing about a later one; then a
 * verified end before a time-out; then what saw the further phase. The activity is the higher one whoever
 * saw it: were it a whole of one end or the other, two halves that each timed out would leave a session that
 * neither end covers, nor any that is made afterwards.
 */
export function joinEnds(a: End | undefined, b: End | undefined): End | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const order =
    a.epochSeen - b.epochSeen ||
    Number(a.absorbing) - Number(b.absorbing) ||
    phaseRank(a.phaseSeen) - phaseRank(b.phaseSeen) ||
    compareText(a.cause, b.cause);
  const [stays, other] = order >= 0 ? [a, b] : [b, a];
  return stays.activitySeen >= other.activitySeen ? stays : { ...stays, activitySeen: other.activitySeen };
}

export function isSameEnd(a: End, b: End): boolean {
  return (
    a.epochSeen === b.epochSeen &&
    a.absorbing === b.absorbing &&
    a.activitySeen === b.activitySeen &&
    a.phaseSeen === b.phaseSeen &&
    a.cause === b.cause
  );
}

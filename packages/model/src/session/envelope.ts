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
 * Which of two ends stays: first the one that saw the later commit, since an end of an earlier generation
 * says nothing about a later one; then a verified one before a time-out; then the time-out that saw more.
 */
export function compareEnds(a: End, b: End): number {
  return (
    a.epochSeen - b.epochSeen ||
    Number(a.absorbing) - Number(b.absorbing) ||
    a.activitySeen - b.activitySeen ||
    phaseRank(a.phaseSeen) - phaseRank(b.phaseSeen) ||
    compareText(a.cause, b.cause)
  );
}

export function joinEnds(a: End | undefined, b: End | undefined): End | undefined {
  if (b === undefined) return a;
  return a === undefined || compareEnds(a, b) < 0 ? b : a;
}

// Silence to calls to death. A silent member is called, and answers at once if it lives; the others are asked
// meanwhile. Their answers can only push the verdict back by what they really heard, and no answer means that
// it falls on time: early where calls went unanswered, late where somebody here starves.
import {
  CALL_COUNT_MIN,
  callAfterMs,
  callSpacingMs,
  deadAfterMs,
  deadUnansweredAfterMs,
  LATENESS_FACTOR,
  suspectAfterMs,
} from "../configuration.ts";
import type { MemberPhase } from "../view.ts";
import { ask, call, reply } from "./send.ts";
import type { Membership, MembershipEffect, Peer } from "./state.ts";

/** What is kept of the worst lateness at each probe: half of it is forgotten in 17 s at 50 ms. */
const LATENESS_KEPT = 0.998;

/** The worst lateness, after one more probe that was expected `lateMs` ago. */
export function latenessAfter(worstMs: number, lateMs: number): number {
  return Math.max(worstMs * LATENESS_KEPT, lateMs);
}

/** It was heard: all that its silence led to is over. */
export function heard(membership: Membership, peer: Peer, nowMs: number): void {
  const silentMs = nowMs - peer.lastHeardAtMs;
  if (silentMs < Number.POSITIVE_INFINITY)
    peer.lateMs = latenessAfter(
      peer.lateMs,
      Math.min(silentMs, deadAfterMs(membership.timing)) - membership.timing.probeIntervalMs,
    );
  peer.lastHeardAtMs = nowMs;
  peer.evidenceAtMs = nowMs;
  peer.hintedAtMs = undefined;
  forgetCalls(peer);
}

export function forgetCalls(peer: Peer): void {
  peer.callCount = 0;
  peer.unansweredAtMs = undefined;
}

export function enterPhase(peer: Peer, phase: MemberPhase, nowMs: number): MembershipEffect[] {
  if (peer.phase === phase) return [];
  const from = peer.phase;
  peer.phase = phase;
  peer.phaseSinceMs = nowMs;
  const silentMs =
    peer.evidenceAtMs === Number.NEGATIVE_INFINITY ? 0 : Math.max(0, nowMs - peer.evidenceAtMs);
  const { name } = peer.configuration;
  return [{ kind: "phase", member: name, from, to: phase, incarnation: peer.incarnation, silentMs }];
}

/** When this member is dead unless something is heard of it. */
export function deadAtMs(membership: Membership, peer: Peer): number {
  const { timing } = membership;
  const lateMs = Math.max(membership.lateMs, peer.lateMs);
  const unansweredAtMs = peer.unansweredAtMs ?? Number.POSITIVE_INFINITY;
  const silentAtMs = Math.min(
    peer.evidenceAtMs + deadAfterMs(timing),
    Math.max(unansweredAtMs, peer.evidenceAtMs + deadUnansweredAfterMs(timing, lateMs)),
  );
  if (peer.hintedAtMs === undefined) return silentAtMs;
  // Its replication link closed. One missed probe less is enough then, provided that a whole interval and
  // some jitter went by since: a living member that only lost the link has spoken meanwhile.
  const spokenAtMs = peer.hintedAtMs + callAfterMs(timing);
  return Math.min(
    silentAtMs,
    Math.max(peer.evidenceAtMs + deadAfterMs(timing) - timing.probeIntervalMs, spokenAtMs),
    Math.max(unansweredAtMs, spokenAtMs + LATENESS_FACTOR * lateMs),
  );
}

function suspectAtMs(membership: Membership, peer: Peer): number {
  return peer.hintedAtMs ?? peer.lastHeardAtMs + suspectAfterMs(membership.timing);
}

/** When it is called next, and the others asked about it. */
function callAtMs(membership: Membership, peer: Peer): number {
  const silentAtMs = peer.hintedAtMs ?? peer.evidenceAtMs + callAfterMs(membership.timing);
  return Math.max(silentAtMs, peer.calledAtMs + callSpacingMs(membership.timing));
}

/** Judges every present member. */
export function judge(membership: Membership, nowMs: number): MembershipEffect[] {
  const effects: MembershipEffect[] = [];
  const silent: Peer[] = [];
  for (const peer of membership.peers.values()) {
    if (peer.phase !== "alive" && peer.phase !== "suspect") continue;
    if (nowMs >= deadAtMs(membership, peer)) {
      peer.hintedAtMs = undefined;
      effects.push(
        ...enterPhase(peer, "dead", nowMs),
        { kind: "changed" },
        ...reply(membership, peer, nowMs),
      );
      continue;
    }
    if (peer.phase === "alive" && nowMs >= suspectAtMs(membership, peer)) {
      effects.push(...enterPhase(peer, "suspect", nowMs), { kind: "changed" });
    }
    if (nowMs < callAtMs(membership, peer)) continue;
    silent.push(peer);
    peer.calledAtMs = nowMs;
    peer.callCount++;
    if (peer.callCount === CALL_COUNT_MIN) peer.unansweredAtMs = nowMs + callSpacingMs(membership.timing);
    effects.push(call(membership, peer, nowMs));
  }
  effects.push(...ask(membership, silent, nowMs));
  return effects;
}

/** The next moment at which `judge` could decide something. */
export function nextVerdictAtMs(membership: Membership): number {
  let next = Number.POSITIVE_INFINITY;
  for (const peer of membership.peers.values()) {
    if (peer.phase !== "alive" && peer.phase !== "suspect") continue;
    next = Math.min(next, callAtMs(membership, peer), deadAtMs(membership, peer));
    if (peer.phase === "alive") next = Math.min(next, suspectAtMs(membership, peer));
  }
  return next;
}

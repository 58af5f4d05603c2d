// Silence to suspicion to death. Suspicion asks others; their answers can only push the verdict back by what
// they really heard, and no answer means that it falls on time.
import { deadAfterMs, suspectAfterMs } from "../configuration.ts";
import type { MemberPhase } from "../view.ts";
import { ask, reply } from "./send.ts";
import type { Membership, MembershipEffect, Peer } from "./state.ts";

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
  const silentAtMs = peer.evidenceAtMs + deadAfterMs(timing);
  if (peer.hintedAtMs === undefined) return silentAtMs;
  // Its replication link closed. One missed probe less is enough then, provided that a whole interval and
  // some jitter went by since: a living member that only lost the link has spoken meanwhile.
  const hintedAtMs = Math.max(
    peer.evidenceAtMs + deadAfterMs(timing) - timing.probeIntervalMs,
    peer.hintedAtMs + timing.probeIntervalMs * 1.2,
  );
  return Math.min(silentAtMs, hintedAtMs);
}

function suspectAtMs(membership: Membership, peer: Peer): number {
  return peer.hintedAtMs ?? peer.lastHeardAtMs + suspectAfterMs(membership.timing);
}

function askAtMs(membership: Membership, peer: Peer): number {
  const silentAtMs = peer.hintedAtMs ?? peer.evidenceAtMs + suspectAfterMs(membership.timing);
  return Math.max(silentAtMs, peer.askedAtMs + membership.timing.probeIntervalMs * 0.4);
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
    if (peer.phase === "suspect" && nowMs >= askAtMs(membership, peer)) silent.push(peer);
  }
  effects.push(...ask(membership, silent, nowMs));
  return effects;
}

/** The next moment at which `judge` could decide something. */
export function nextVerdictAtMs(membership: Membership): number {
  let next = Number.POSITIVE_INFINITY;
  for (const peer of membership.peers.values()) {
    if (peer.phase === "alive")
      next = Math.min(next, suspectAtMs(membership, peer), deadAtMs(membership, peer));
    if (peer.phase === "suspect")
      next = Math.min(next, askAtMs(membership, peer), deadAtMs(membership, peer));
  }
  return next;
}

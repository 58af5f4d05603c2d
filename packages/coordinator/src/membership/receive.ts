// What a message from another member changes.
import type { Answer, Message, Probe } from "../wire/message.ts";
import { AGE_NEVER_MS } from "../wire/message.ts";
import { answer, reply } from "./send.ts";
import type { Link, Membership, MembershipEffect, Peer } from "./state.ts";
import { enterPhase, forgetCalls, heard } from "./verdict.ts";

export function receive(
  membership: Membership,
  message: Message,
  network: number,
  nowMs: number,
): MembershipEffect[] {
  const peer = membership.peers.get(message.from);
  if (peer === undefined) return [{ kind: "refused", refusal: "unknownSender" }];
  if (message.to !== membership.self.number) return [{ kind: "refused", refusal: "otherReceiver" }];
  const effects: MembershipEffect[] = [];
  if (message.incarnation < peer.incarnation) {
    // A recording, or a member whose wall clock moved back before it restarted: our answer tells it our
    // incarnation.
    effects.push({ kind: "refused", refusal: "oldIncarnation" }, ...reply(membership, peer, nowMs));
    return effects;
  }
  if (message.kind === "probe") effects.push(...considerOpinion(membership, peer, message, nowMs));

  const echoesUs = message.echo === membership.boot;
  if (message.incarnation > peer.incarnation) {
    if (!echoesUs) {
      // Perhaps a recording from before our start: no proof of life. Echo its boot, and it can prove itself.
      peer.boot = message.boot;
      effects.push(...reply(membership, peer, nowMs));
      return effects;
    }
    adopt(peer, message);
    effects.push(...enterPhase(peer, "alive", nowMs), { kind: "changed" });
  } else if (peer.phase === "dead" || peer.phase === "left" || !echoesUs) {
    // It does not know yet that we presume it dead (our answer says so), or that we restarted.
    effects.push(...reply(membership, peer, nowMs));
    return effects;
  }

  const link = linkOf(peer, network);
  if (message.sequence <= link.sequence) {
    effects.push({ kind: "refused", refusal: "replay" });
    return effects;
  }
  link.sequence = message.sequence;
  link.heardAtMs = nowMs;
  // A copy of what came over another network already.
  if (message.sequence <= peer.sequence) return effects;
  peer.sequence = message.sequence;
  heard(membership, peer, nowMs);
  if (peer.phase === "suspect") effects.push(...enterPhase(peer, "alive", nowMs), { kind: "changed" });

  if (message.kind === "probe") effects.push(...receiveProbe(membership, peer, message, nowMs));
  if (message.kind === "ask") effects.push(answer(membership, peer, message, nowMs));
  if (message.kind === "answer") receiveAnswer(membership, message);
  if (message.kind === "leave") effects.push(...enterPhase(peer, "left", nowMs), { kind: "changed" });
  return effects;
}

/** A new incarnation: everything that belonged to the old one is forgotten. */
function adopt(peer: Peer, message: Message): void {
  peer.incarnation = message.incarnation;
  peer.boot = message.boot;
  peer.sequence = 0;
  peer.state = undefined;
  peer.stateVersion = 0;
  peer.stateVersionAcked = 0;
  peer.supportsUs = false;
  peer.lastHeardAtMs = Number.NEGATIVE_INFINITY;
  forgetCalls(peer);
  peer.links.clear();
}

function linkOf(peer: Peer, network: number): Link {
  let link = peer.links.get(network);
  if (link === undefined) {
    link = { sequence: 0, heardAtMs: Number.NEGATIVE_INFINITY, hearsUsAtMs: Number.NEGATIVE_INFINITY };
    peer.links.set(network, link);
  }
  return link;
}

/**
 * What the sender believes of us: refuted when it presumes us dead, outdone when it knows a later
 * incarnation.
 */
function considerOpinion(
  membership: Membership,
  peer: Peer,
  message: Probe,
  nowMs: number,
): MembershipEffect[] {
  if (membership.leaving) return [];
  if (message.opinionIncarnation > membership.incarnation) {
    // No clock is that wrong: a lie that would leave no incarnation above it.
    if (message.opinionIncarnation > incarnationMaxOf(membership, nowMs))
      return [{ kind: "refused", refusal: "malformed" }];
    // An earlier run of ours had a clock ahead of now.
    enterIncarnation(membership, message.opinionIncarnation + 1);
    return [{ kind: "changed" }];
  }
  const gone = message.opinion === "dead" || message.opinion === "left";
  if (!gone || message.opinionIncarnation !== membership.incarnation) return [];
  peer.supportsUs = false;
  enterIncarnation(membership, membership.incarnation + 1);
  const supported = [...membership.peers.values()].some(
    (other) => other.supportsUs && (other.phase === "alive" || other.phase === "suspect"),
  );
  let settleMs = 0;
  if (!supported) {
    settleMs = membership.settleForMs;
    membership.settlingUntilMs = nowMs + settleMs;
    membership.settleForMs = Math.min(settleMs * 2, membership.timing.settleMaxMs);
  }
  const by = peer.configuration.name;
  return [{ kind: "accused", by, displaced: !supported, settleMs }, { kind: "changed" }];
}

/**
 * Incarnations are wall clock milliseconds times 1,024 at first. The own clock may have been reset before
 * this year.
 */
const INCARNATIONS_PER_MS = 1_024;
const WALL_CLOCK_MIN_MS = Date.UTC(2026, 0, 1);
const INCARNATION_LEAD_MAX_MS = 100 * 365 * 86_400_000;

function incarnationMaxOf(membership: Membership, nowMs: number): number {
  const atStart = Math.max(membership.firstIncarnation, WALL_CLOCK_MIN_MS * INCARNATIONS_PER_MS);
  const sinceMs = nowMs - membership.startedAtMs;
  return atStart + (sinceMs + INCARNATION_LEAD_MAX_MS) * INCARNATIONS_PER_MS;
}

/** The others forget what they had of us, so all of it is sent again. */
function enterIncarnation(membership: Membership, incarnation: number): void {
  membership.incarnation = incarnation;
  membership.stateVersion++;
  membership.dirty = true;
}

function receiveProbe(membership: Membership, peer: Peer, message: Probe, nowMs: number): MembershipEffect[] {
  const effects: MembershipEffect[] = [];
  for (const id of message.heardNetworks) {
    if (membership.networkNames.has(id)) linkOf(peer, id).hearsUsAtMs = nowMs;
  }
  peer.stateVersionAcked = message.stateVersionHeld;
  // What waited in the socket while we were frozen is no support.
  if (membership.confirmed || message.echoSequence >= membership.confirmSequence) {
    peer.supportsUs = message.opinion === "alive" || message.opinion === "suspect";
  }
  if (message.state !== undefined && message.stateVersion > peer.stateVersion) {
    peer.state = message.state;
    peer.stateVersion = message.stateVersion;
    effects.push({ kind: "changed" });
  }
  if (!membership.confirmed && message.echoSequence >= membership.confirmSequence) {
    membership.confirmed = true;
    effects.push({ kind: "confirmed" }, { kind: "changed" });
  }
  if (message.answerNow) effects.push(...reply(membership, peer, nowMs));
  return effects;
}

/**
 * A witness heard a silent member `ageMs` before it answered. It answered after we asked, so "asked minus
 * age" is never too young: an answer that was held up on its way does not delay the verdict.
 */
function receiveAnswer(membership: Membership, message: Answer): void {
  const askedAtMs = membership.asks.get(message.nonce);
  if (askedAtMs === undefined) return;
  for (const { number, incarnation, ageMs } of message.ages) {
    const subject = membership.peers.get(number);
    if (subject === undefined || subject.incarnation !== incarnation || ageMs >= AGE_NEVER_MS) continue;
    subject.evidenceAtMs = Math.max(subject.evidenceAtMs, askedAtMs - ageMs);
  }
}

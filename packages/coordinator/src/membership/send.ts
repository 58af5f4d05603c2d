// What membership sends: probes, asks, answers, the goodbye.

import { REPLY_SPACING_MS, unheardAfterMs } from "../configuration.ts";
import {
  type AdvertisedState,
  AGE_NEVER_MS,
  type Ask,
  type Envelope,
  OPINIONS,
  type Opinion,
  SUBJECT_COUNT_MAX,
} from "../wire/message.ts";
import {
  ASK_COUNT_MAX,
  DEAD_PROBE_DIVISOR,
  type Membership,
  type MembershipEffect,
  type Peer,
  WITNESS_COUNT_MAX,
} from "./state.ts";

function envelopeTo(membership: Membership, peer: Peer): Envelope {
  return {
    from: membership.self.number,
    to: peer.configuration.number,
    incarnation: membership.incarnation,
    boot: membership.boot,
    echo: peer.boot,
    sequence: membership.sequence,
  };
}

function opinionOf(peer: Peer): Opinion {
  return peer.incarnation === 0 ? OPINIONS[0] : peer.phase;
}

/** One probe to one member; carries our state until the member acknowledges that it has it. */
export function probe(
  membership: Membership,
  peer: Peer,
  nowMs: number,
  answerNow: boolean,
): MembershipEffect {
  const heardSinceMs = nowMs - unheardAfterMs(membership.timing);
  const heardNetworks: number[] = [];
  for (const [id, link] of peer.links) if (link.heardAtMs > heardSinceMs) heardNetworks.push(id);
  const state: AdvertisedState | undefined =
    peer.stateVersionAcked === membership.stateVersion ? undefined : membership.advertised;
  return {
    kind: "send",
    message: {
      ...envelopeTo(membership, peer),
      kind: "probe",
      echoSequence: peer.sequence,
      opinion: opinionOf(peer),
      opinionIncarnation: peer.incarnation,
      stateVersionHeld: peer.stateVersion,
      stateVersion: membership.stateVersion,
      answerNow,
      heardNetworks,
      state,
    },
  };
}

/** A round of probes. Members that are gone get every fourth, unless `everybody`. */
export function probeRound(
  membership: Membership,
  nowMs: number,
  how: { readonly everybody: boolean; readonly answerNow: boolean },
): MembershipEffect[] {
  membership.sequence++;
  const effects: MembershipEffect[] = [];
  for (const peer of membership.peers.values()) {
    const gone = peer.phase === "dead" || peer.phase === "left";
    if (gone && !how.everybody && membership.probeRound % DEAD_PROBE_DIVISOR !== 0) continue;
    effects.push(probe(membership, peer, nowMs, how.answerNow));
  }
  return effects;
}

/** An extra probe outside the rounds: an answer, or the verdict to whom it concerns. At most one in 10 ms. */
export function reply(membership: Membership, peer: Peer, nowMs: number): MembershipEffect[] {
  if (nowMs - peer.repliedAtMs < REPLY_SPACING_MS) return [];
  peer.repliedAtMs = nowMs;
  membership.sequence++;
  return [probe(membership, peer, nowMs, false)];
}

/** The first probe that a member can read: what it says of us comes back at once. */
export function greet(membership: Membership, peer: Peer, nowMs: number): MembershipEffect[] {
  return membership.leaving ? [] : [call(membership, peer, nowMs)];
}

/** A probe outside the rounds that asks for one: whoever lives answers at once. */
export function call(membership: Membership, peer: Peer, nowMs: number): MembershipEffect {
  membership.sequence++;
  return probe(membership, peer, nowMs, true);
}

/** Asks up to eight witnesses, another choice each time, about all `silent` members at once. */
export function ask(membership: Membership, silent: readonly Peer[], nowMs: number): MembershipEffect[] {
  const witnesses = [...membership.peers.values()].filter((peer) => peer.phase === "alive");
  if (witnesses.length === 0 || silent.length === 0) return [];
  membership.nonce = (membership.nonce + 1) >>> 0;
  const oldest = membership.asks.keys().next();
  if (membership.asks.size >= ASK_COUNT_MAX && oldest.done === false) membership.asks.delete(oldest.value);
  membership.asks.set(membership.nonce, nowMs);
  membership.sequence++;
  const subjects = silent
    .slice(0, SUBJECT_COUNT_MAX)
    .map((peer) => ({ number: peer.configuration.number, incarnation: peer.incarnation }));
  const effects: MembershipEffect[] = [];
  for (let i = 0; i < Math.min(WITNESS_COUNT_MAX, witnesses.length); i++) {
    const witness = witnesses[(membership.nonce + i) % witnesses.length] as Peer;
    effects.push({
      kind: "send",
      message: { ...envelopeTo(membership, witness), kind: "ask", nonce: membership.nonce, subjects },
    });
  }
  return effects;
}

/**
 * Answers with what we heard ourselves, never with what others told us: hearsay would keep the dead alive.
 */
export function answer(membership: Membership, peer: Peer, question: Ask, nowMs: number): MembershipEffect {
  membership.sequence++;
  const ages = question.subjects.map(({ number, incarnation }) => {
    const subject = membership.peers.get(number);
    const known =
      subject !== undefined &&
      subject.incarnation === incarnation &&
      (subject.phase === "alive" || subject.phase === "suspect");
    const ageMs = known ? Math.ceil(nowMs - subject.lastHeardAtMs) : AGE_NEVER_MS;
    return { number, incarnation, ageMs: Math.min(ageMs, AGE_NEVER_MS) };
  });
  return {
    kind: "send",
    message: { ...envelopeTo(membership, peer), kind: "answer", nonce: question.nonce, ages },
  };
}

/** The goodbye, to everybody. */
export function leave(membership: Membership): MembershipEffect[] {
  membership.sequence++;
  return [...membership.peers.values()].map((peer) => ({
    kind: "send",
    message: { ...envelopeTo(membership, peer), kind: "leave" },
  }));
}

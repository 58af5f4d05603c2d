// One step of membership: an event at a time, effects out. No clock, no socket, no chance: the same events at
// the same times give the same effects. `membership` itself is brought forward in place; a copy per probe
// would cost more than everything else at hundreds of members.
import { deadAfterMs, deadUnansweredAfterMs, ROUTER_EVIDENCE_MS, unheardAfterMs } from "../configuration.ts";
import { type AdvertisedState, CLAIM_AND_UNSERVED_COUNT_MAX } from "../wire/message.ts";
import { receive } from "./receive.ts";
import { greet, leave, probeRound } from "./send.ts";
import {
  type LocalFacts,
  type Membership,
  type MembershipEffect,
  type MembershipEvent,
  relist,
} from "./state.ts";
import { forgetCalls, judge, latenessAfter, nextVerdictAtMs } from "./verdict.ts";

export function step(membership: Membership, event: MembershipEvent, nowMs: number): MembershipEffect[] {
  // Ticks come at least once an interval. Whatever is the first event after a freeze, what we knew before is
  // stale.
  const gapMs = nowMs - membership.tickedAtMs;
  const deathMs = deadUnansweredAfterMs(membership.timing, 0);
  const thawed = gapMs > deathMs ? thaw(membership, gapMs, nowMs) : [];
  const effects = react(membership, event, nowMs);
  return thawed.length === 0 ? effects : [...thawed, ...effects];
}

function react(membership: Membership, event: MembershipEvent, nowMs: number): MembershipEffect[] {
  switch (event.kind) {
    case "message": {
      const effects = receive(membership, event.message, event.network, nowMs);
      // Accused: the new incarnation must not go out without "settling", or the others would let go at once.
      if (membership.dirty) effects.push(...refresh(membership, nowMs));
      return pushState(membership, nowMs, effects);
    }
    case "hint":
      return hint(membership, event.member, nowMs);
    case "keyed": {
      const peer = membership.peers.get(event.member);
      return peer === undefined ? [] : greet(membership, peer, nowMs);
    }
    case "facts":
      membership.facts = { ...membership.facts, ...event.facts };
      if (event.facts.networks !== undefined) membership.networkFactsAtMs = nowMs;
      return pushState(membership, nowMs, refresh(membership, nowMs));
    case "members":
      relist(membership, event.members, nowMs);
      return [...pushState(membership, nowMs, refresh(membership, nowMs)), { kind: "changed" }];
    case "leave":
      membership.leaving = true;
      return [...leave(membership), { kind: "changed" }];
    case "tick":
      return tick(membership, nowMs);
  }
}

/** When the next tick is due at the latest. */
export function nextTickAtMs(membership: Membership): number {
  const settled = membership.advertised.settling ? membership.settlingUntilMs : Number.POSITIVE_INFINITY;
  return Math.min(membership.probeAtMs, settled, nextVerdictAtMs(membership));
}

function tick(membership: Membership, nowMs: number): MembershipEffect[] {
  const effects: MembershipEffect[] = [];
  membership.tickedAtMs = nowMs;
  if (membership.leaving) return effects;
  effects.push(...judge(membership, nowMs));
  if (!membership.confirmed && knowsEnough(membership, nowMs)) {
    membership.confirmed = true;
    effects.push({ kind: "confirmed" }, { kind: "changed" });
  }
  effects.push(...refresh(membership, nowMs));
  if (nowMs >= membership.probeAtMs) {
    // The first round is late by what the start took.
    if (membership.probeRound > 0)
      membership.lateMs = latenessAfter(membership.lateMs, nowMs - membership.probeAtMs);
    const first = membership.probeRound === 0;
    effects.push(
      ...probeRound(membership, nowMs, { everybody: first, answerNow: first || !membership.confirmed }),
    );
    membership.probeRound++;
    membership.dirty = false;
    membership.probeAtMs += membership.timing.probeIntervalMs;
    if (membership.probeAtMs <= nowMs) membership.probeAtMs = nowMs + membership.timing.probeIntervalMs;
    // A quiet half minute makes the next settling short again.
    if (nowMs - membership.settlingUntilMs > membership.timing.settleMaxMs) {
      membership.settleForMs = membership.timing.settleMs;
    }
  }
  return pushState(membership, nowMs, effects);
}

/** After a start: everybody had time to be heard. After a freeze: nobody is left who could know better. */
function knowsEnough(membership: Membership, nowMs: number): boolean {
  if (membership.confirmSequence === Number.POSITIVE_INFINITY) {
    return nowMs - membership.startedAtMs >= unheardAfterMs(membership.timing);
  }
  return ![...membership.peers.values()].some(({ phase }) => phase === "alive" || phase === "suspect");
}

/**
 * We were frozen for longer than a death takes (SIGSTOP, a suspended machine, starvation). Our silence proves
 * nothing about the others, and they may have replaced us: everybody gets a new chance, and nothing is
 * announced until somebody who knows that we are back has spoken.
 */
function thaw(membership: Membership, gapMs: number, nowMs: number): MembershipEffect[] {
  for (const peer of membership.peers.values()) {
    peer.supportsUs = false;
    if (peer.phase === "alive" || peer.phase === "suspect") {
      peer.evidenceAtMs = nowMs;
      peer.lastHeardAtMs = nowMs;
      forgetCalls(peer);
    }
    for (const link of peer.links.values()) {
      link.heardAtMs += gapMs;
      link.hearsUsAtMs += gapMs;
    }
  }
  membership.tickedAtMs = nowMs;
  membership.lateMs = latenessAfter(membership.lateMs, Math.min(gapMs, deadAfterMs(membership.timing)));
  membership.confirmed = false;
  membership.confirmSequence = membership.sequence + 1;
  membership.probeAtMs = nowMs;
  return [{ kind: "frozen", forMs: gapMs }, { kind: "changed" }];
}

function hint(membership: Membership, number: number, nowMs: number): MembershipEffect[] {
  const peer = membership.peers.get(number);
  if (peer === undefined || (peer.phase !== "alive" && peer.phase !== "suspect")) return [];
  peer.hintedAtMs ??= nowMs;
  return judge(membership, nowMs);
}

/** Brings what we say of ourselves up to date. */
function refresh(membership: Membership, nowMs: number): MembershipEffect[] {
  const { facts, advertised } = membership;
  const unheard: string[] = [];
  const next: AdvertisedState = {
    ready: facts.ready,
    caughtUp: facts.caughtUp,
    draining: facts.draining,
    mainAlive: facts.mainAlive,
    settling: nowMs < membership.settlingUntilMs,
    networks: [...membership.networkNames].map(([id, name]) => {
      const fact = facts.networks.get(name);
      const isMemberHeard = isHeard(membership, id, nowMs);
      if (!isMemberHeard) unheard.push(name);
      return {
        id,
        carrier: fact?.carrier ?? true,
        heard: isMemberHeard || (fact?.routerHeard === true && isRouterHeard(membership, id)),
      };
    }),
    claims: facts.claims,
    unserved: fitting(facts),
  };
  const before = membership.unheardNetworks;
  const same = unheard.length === before.length && unheard.every((name, index) => name === before[index]);
  if (!same) membership.unheardNetworks = unheard;
  if (equals(next, advertised)) return same ? [] : [{ kind: "changed" }];
  membership.advertised = next;
  membership.stateVersion++;
  membership.dirty = true;
  return [{ kind: "changed" }];
}

/** While a VIP that is claimed yet is handed over the two lists may be too long together. */
function fitting({ claims, unserved }: LocalFacts): LocalFacts["unserved"] {
  const room = CLAIM_AND_UNSERVED_COUNT_MAX - claims.length;
  return unserved.length <= room ? unserved : unserved.slice(0, room);
}

/** Somebody present hears us over this network, and we hear it. */
function isHeard(membership: Membership, id: number, nowMs: number): boolean {
  const sinceMs = nowMs - unheardAfterMs(membership.timing);
  for (const peer of membership.peers.values()) {
    if (peer.phase !== "alive" && peer.phase !== "suspect") continue;
    const link = peer.links.get(id);
    if (link !== undefined && link.heardAtMs > sinceMs && link.hearsUsAtMs > sinceMs) {
      membership.membersHeardAtMs.set(id, nowMs);
      return true;
    }
  }
  return false;
}

/**
 * What a router said before the members fell silent proves nothing now: with it a member whose cable is cut
 * would stay where it is for longer than without.
 */
function isRouterHeard(membership: Membership, id: number): boolean {
  const lostAtMs = membership.membersHeardAtMs.get(id) ?? Number.NEGATIVE_INFINITY;
  return membership.networkFactsAtMs - lostAtMs >= ROUTER_EVIDENCE_MS;
}

function equals(a: AdvertisedState, b: AdvertisedState): boolean {
  return (
    a.ready === b.ready &&
    a.caughtUp === b.caughtUp &&
    a.draining === b.draining &&
    a.settling === b.settling &&
    a.mainAlive === b.mainAlive &&
    a.claims === b.claims &&
    a.unserved.length === b.unserved.length &&
    a.unserved.every((vip, index) => vip === b.unserved[index]) &&
    a.networks.length === b.networks.length &&
    a.networks.every((network, index) => {
      const other = b.networks[index];
      return network.id === other?.id && network.carrier === other.carrier && network.heard === other.heard;
    })
  );
}

/** A change of our own state does not wait for the next round. */
function pushState(membership: Membership, nowMs: number, effects: MembershipEffect[]): MembershipEffect[] {
  if (!membership.dirty || membership.probeRound === 0 || membership.leaving) return effects;
  membership.dirty = false;
  effects.push(...probeRound(membership, nowMs, { everybody: false, answerNow: false }));
  return effects;
}

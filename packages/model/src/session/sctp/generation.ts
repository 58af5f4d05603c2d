// Joining generations: one INIT's worth of tags.

import { compareText, compareTexts } from "../order.ts";
import { type Generation, PENDING_GENERATION_COUNT_MAX, PHASES, type Phase, type Tag } from "../record.ts";
import { boundCandidates, joinCandidates, sameEntries } from "./candidate.ts";

export function phaseRank(phase: Phase): number {
  return PHASES.indexOf(phase);
}

export function laterPhase(a: Phase, b: Phase): Phase {
  return phaseRank(a) >= phaseRank(b) ? a : b;
}

/** Absent is the first (record.ts). */
export function ordinalOf(generation: Generation): number {
  return generation.ordinal ?? 1;
}

export function probedVipsOf(generation: Generation): number {
  return generation.probedVips ?? 0;
}

/** Of two observations of one INIT the smaller (VIP, source, list, pairing) stays. */
function compareObservations(a: Generation, b: Generation): number {
  return (
    a.arrivalVip - b.arrivalVip ||
    compareText(a.source, b.source) ||
    compareTexts(a.listed, b.listed) ||
    compareTexts(a.pairing, b.pairing)
  );
}

/** Joins two generations of one client tag. Returns `a` when `b` adds nothing. */
export function joinGeneration(a: Generation, b: Generation): Generation {
  if (a === b) return a;
  const order = ordinalOf(a) - ordinalOf(b);
  if (order !== 0) return order > 0 ? a : b;
  const observed = compareObservations(a, b) <= 0 ? a : b;
  const candidates = joinCandidates(a.candidates, b.candidates);
  const phase = laterPhase(a.phase, b.phase);
  const aborted = a.aborted || b.aborted;
  const probedVips = probedVipsOf(a) | probedVipsOf(b);
  if (
    observed === a &&
    candidates === a.candidates &&
    phase === a.phase &&
    aborted === a.aborted &&
    probedVips === probedVipsOf(a)
  ) {
    return a;
  }
  const joined: Generation = { ...observed, candidates, phase, aborted };
  return probedVips === probedVipsOf(observed) ? joined : { ...joined, probedVips };
}

type Generations = ReadonlyMap<Tag, Generation>;

/**
 * Joins two sets of generations; at most PENDING_GENERATION_COUNT_MAX stay, those with the greatest (ordinal,
 * tag): a newer INIT always finds room, and what one order of joins drops, every order drops. Returns `a`
 * when `b` adds nothing.
 */
export function joinGenerations(a: Generations, b: Generations): Generations {
  if (a === b) return a;
  if (a.size === 0 && b.size <= PENDING_GENERATION_COUNT_MAX && isNormal(b)) return b.size === 0 ? a : b;
  let all: Map<Tag, Generation> | undefined;
  for (const [tag, theirs] of b) {
    const ours = a.get(tag);
    if (ours === theirs) continue;
    const normal = normalGeneration(theirs);
    const joined = ours === undefined ? normal : joinGeneration(ours, normal);
    if (joined === ours) continue;
    all ??= new Map(a);
    all.set(tag, joined);
  }
  if (all === undefined) return a;
  const bounded = boundGenerations(all);
  return sameEntries(a, bounded) ? a : bounded;
}

function isNormal(generations: Generations): boolean {
  for (const generation of generations.values())
    if (normalGeneration(generation) !== generation) return false;
  return true;
}

function boundGenerations(all: Map<Tag, Generation>): Generations {
  if (all.size <= PENDING_GENERATION_COUNT_MAX) return all;
  const sorted = [...all].sort(([aTag, x], [bTag, y]) => ordinalOf(y) - ordinalOf(x) || bTag - aTag);
  return new Map(sorted.slice(0, PENDING_GENERATION_COUNT_MAX));
}

/** With its candidates within their bounds. */
export function normalGeneration(generation: Generation): Generation {
  const candidates = boundCandidates(generation.candidates);
  return candidates === generation.candidates || sameEntries(candidates, generation.candidates)
    ? generation
    : { ...generation, candidates };
}

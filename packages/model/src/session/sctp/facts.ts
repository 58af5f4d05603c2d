// What follows from a record. Nothing here is replicated: every member derives the same from the same record.
import { samePlace } from "../../place.ts";
import { compareText } from "../order.ts";
import {
  type Candidate,
  type Commit,
  type End,
  type EndCause,
  type Generation,
  PENDING_GENERATION_COUNT_MAX,
  type Phase,
  type SessionRecord,
  type Tag,
} from "../record.ts";
import { type CandidateIdentity, candidateKeyOf, parseCandidateKey } from "./candidate.ts";
import { joinGeneration, laterPhase, ordinalOf, phaseRank } from "./generation.ts";

/** The generation of a client tag as far as it is known: pending, committed, or both. */
export function generationOf(record: SessionRecord, clientTag: Tag): Generation | undefined {
  const listed = record.generations.get(clientTag);
  const committed = record.commit?.clientTag === clientTag ? record.commit.generation : undefined;
  if (listed === undefined || committed === undefined) return listed ?? committed;
  return joinGeneration(committed, listed);
}

/** The generation that the endpoint has shown to be in force; undefined before the first COOKIE-ACK. */
export function currentGeneration(record: SessionRecord): Generation | undefined {
  return record.commit === undefined ? undefined : generationOf(record, record.commit.clientTag);
}

/**
 * The candidate in force. An endpoint's packets do not say which of several INIT-ACKs the client took: a
 * member that saw them before the COOKIE-ECHO's choice had arrived may have committed another one, and the
 * choice is right. Made from the commit's key when the candidate itself fell out of the bounds.
 */
export function currentCandidate(record: SessionRecord): Candidate | undefined {
  if (record.commit === undefined) return undefined;
  const generation = currentGeneration(record);
  const known = generation?.candidates.get(record.commit.candidate);
  if (known?.echoed === true) return known;
  const chosen = generation && chosenCandidate(generation);
  if (chosen !== undefined || known !== undefined) return chosen ?? known;
  const identity = parseCandidateKey(record.commit.candidate);
  return identity === undefined ? undefined : { ...identity, endpointAddresses: [], echoed: true };
}

/** The one that a COOKIE-ECHO chose; the smallest key, should there be several. */
function chosenCandidate(generation: Generation): Candidate | undefined {
  let chosen: [string, Candidate] | undefined;
  for (const entry of generation.candidates)
    if (entry[1].echoed && (chosen === undefined || entry[0] < chosen[0])) chosen = entry;
  return chosen?.[1];
}

/**
 * The candidate in force; of an embryo the one that a COOKIE-ECHO chose, else one that answered, else any.
 */
export function shownCandidate(record: SessionRecord): Candidate | undefined {
  const committed = currentCandidate(record);
  if (committed !== undefined) return committed;
  const candidates = [...record.generations.values()].flatMap((g) => [...g.candidates.values()]);
  return candidates.find((c) => c.echoed) ?? candidates.find((c) => c.endpointTag !== 0) ?? candidates[0];
}

/** Generations that may still replace the current one: not aborted and begun after it, the latest first. */
export function pendingGenerations(record: SessionRecord): Generation[] {
  const current = currentGeneration(record);
  const after = current === undefined ? 0 : ordinalOf(current);
  return [...record.generations.values()]
    .filter((g) => g.clientTag !== record.commit?.clientTag && !g.aborted && ordinalOf(g) > after)
    .sort((a, b) => ordinalOf(b) - ordinalOf(a) || b.clientTag - a.clientTag);
}

/**
 * Whether the record has pending restarts enough. It keeps only the latest few: INITs that anybody may have
 * forged must not crowd out the client's own, so further ones are replicated only once their cookies are
 * back.
 */
export function isCrowded(record: SessionRecord): boolean {
  return pendingGenerations(record).length >= PENDING_GENERATION_COUNT_MAX / 2;
}

/** The ordinal of the latest INIT that is known of the session; 0 when none is. */
export function latestOrdinal(record: SessionRecord): number {
  let latest = record.commit?.generation === undefined ? 0 : ordinalOf(record.commit.generation);
  for (const generation of record.generations.values()) latest = Math.max(latest, ordinalOf(generation));
  return latest;
}

/** Whether the address paired with a VIP has had its HEARTBEAT and did not prove itself by it. */
export function wasProbed({ probedVips = 0 }: Generation, vip: number): boolean {
  return ((probedVips >>> vip) & 1) === 1;
}

/** Whether the endpoint has ever shown that it holds the association of this INIT. */
export function hasBeenInForce(generation: Generation): boolean {
  return phaseRank(generation.phase) >= phaseRank("established");
}

/** The commit epoch in force; 0 for an embryo. */
export function epochOf(record: SessionRecord): number {
  return record.commit?.epoch ?? 0;
}

/** The phase without regard to an end: of the current generation, else the furthest of the pending ones. */
function phaseReached(record: SessionRecord): Phase {
  const current = currentGeneration(record);
  if (current !== undefined) return current.aborted ? "closed" : current.phase;
  // A commit alone, without its generation, still says that a COOKIE-ACK passed.
  let phase: Phase = record.commit === undefined ? "init" : "established";
  for (const generation of record.generations.values()) {
    if (!generation.aborted) phase = laterPhase(phase, generation.phase);
  }
  return phase;
}

/** Whether the record's end is in force: nothing that it did not see has happened since. */
export function isEnded(record: SessionRecord): boolean {
  const { end } = record;
  if (end === undefined) return false;
  const epoch = epochOf(record);
  if (epoch > end.epochSeen) return false;
  if (end.absorbing) return true;
  if (record.activity > end.activitySeen) return false;
  // Of a later commit: its phase is another generation's.
  return epoch < end.epochSeen || phaseRank(phaseReached(record)) <= phaseRank(end.phaseSeen);
}

/**
 * Members that could not hear each other put two restarts in force at once, and the other one was shut down:
 * whoever saw that had its generation in a phase that the one in force here has not come to. Not exact, since
 * facts of what has ended are forgotten: traffic with the tag in force has to confirm it.
 */
export function isEndOfAnotherRestart(record: SessionRecord): boolean {
  const { end } = record;
  if (end?.cause !== "shutdown" || end.epochSeen !== epochOf(record)) return false;
  const current = currentGeneration(record);
  return current !== undefined && !current.aborted && phaseRank(current.phase) < phaseRank(end.phaseSeen);
}

export function isLiving(record: SessionRecord): boolean {
  return !isEnded(record);
}

/** What the tracker should believe: "closed" once an end is in force. */
export function effectivePhase(record: SessionRecord): Phase {
  return isEnded(record) ? "closed" : phaseReached(record);
}

/**
 * Tag-verified ends and an operator's removal; the rest are time-outs. So is the silence of an endpoint: in
 * the other half of a partition it may be answering.
 */
const ABSORBING: ReadonlySet<EndCause> = new Set([
  "shutdown",
  "abortByClient",
  "abortByEndpoint",
  "operator",
  "endpointRemoved",
  "superseded",
]);

/**
 * An end of what this member sees now. A time-out made by it loses to anything that the member did not see.
 */
export function endOf(record: SessionRecord, cause: EndCause): End {
  return {
    cause,
    absorbing: ABSORBING.has(cause),
    epochSeen: epochOf(record),
    phaseSeen: phaseReached(record),
    activitySeen: record.activity,
  };
}

/** The commit that puts a candidate of a generation in force over the present one. */
export function commitOf(record: SessionRecord, clientTag: Tag, candidate: CandidateIdentity): Commit {
  const key = candidateKeyOf(candidate);
  if (record.commit?.clientTag === clientTag && record.commit.candidate === key) return record.commit;
  return { epoch: epochOf(record) + 1, clientTag, candidate: key };
}

/** Every (endpoint, port, NAT port) that the record holds, the committed one first. */
export function natPortsOf(record: SessionRecord): CandidateIdentity[] {
  // Mostly one, and a handful at most: comparing beats a map.
  const current = currentCandidate(record);
  const held: CandidateIdentity[] = current === undefined ? [] : [current];
  const committed = record.commit?.generation;
  if (committed !== undefined) addPorts(held, committed);
  for (const generation of record.generations.values())
    if (generation !== committed) addPorts(held, generation);
  return held;
}

/** The endpoint's initiate tags, each once: packets of the client have them, wherever they come from. */
export function endpointTagsOf(record: SessionRecord): Tag[] {
  const tags: Tag[] = [];
  const add = ({ candidates }: Generation) => {
    for (const { endpointTag } of candidates.values())
      if (endpointTag !== 0 && !tags.includes(endpointTag)) tags.push(endpointTag);
  };
  for (const generation of record.generations.values()) add(generation);
  const committed = record.commit?.generation;
  if (committed !== undefined) add(committed);
  return tags;
}

/**
 * Whether both hold the same NAT ports and tags, found out without listing them: false when that is not
 * plain. A candidate's key names all of them.
 */
export function hasSamePorts(a: SessionRecord, b: SessionRecord): boolean {
  if (a.commit !== b.commit && !(isCommitListed(a) && isCommitListed(b))) return false;
  if (a.generations === b.generations) return true;
  if (a.generations.size !== b.generations.size) return false;
  for (const [tag, { candidates }] of b.generations) {
    const before = a.generations.get(tag)?.candidates;
    if (before === undefined || !hasSameKeys(before, candidates)) return false;
  }
  return true;
}

/** What the commit holds stands among the latest generations as well. */
function isCommitListed({ commit, generations }: SessionRecord): boolean {
  if (commit === undefined) return true;
  const listed = generations.get(commit.clientTag)?.candidates;
  if (listed?.has(commit.candidate) !== true) return false;
  return commit.generation === undefined || hasSameKeys(listed, commit.generation.candidates);
}

function hasSameKeys(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const key of b.keys()) if (!a.has(key)) return false;
  return true;
}

/** Whether it speaks of a tag: of either side, of any generation. */
export function hasTag({ generations, commit }: SessionRecord, tag: Tag): boolean {
  return [...generations.values(), ...(commit?.generation ? [commit.generation] : [])].some(
    ({ clientTag, candidates }) =>
      clientTag === tag || [...candidates.values()].some(({ endpointTag }) => endpointTag === tag),
  );
}

function addPorts(held: CandidateIdentity[], { candidates }: Generation): void {
  for (const candidate of candidates.values()) {
    let isHeld = false;
    for (const other of held) isHeld ||= other === candidate || samePlace(other, candidate);
    if (!isHeld) held.push(candidate);
  }
}

/**
 * The one rule for two sessions of one service that share a client address and port, and for two that hold
 * one NAT port: the living before the ended, the committed before embryos, the later commit epoch, the
 * greater activity, the smaller id. A member that sees tag-valid traffic of the loser raises its commit
 * epoch, and thereby turns the order. Negative: `a` comes first.
 */
export function comparePrecedence(a: SessionRecord, b: SessionRecord): number {
  return (
    Number(isEnded(a)) - Number(isEnded(b)) ||
    epochOf(b) - epochOf(a) ||
    b.activity - a.activity ||
    compareText(a.id, b.id)
  );
}

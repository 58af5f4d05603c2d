// Which generation of a session a verification tag belongs to. A tag is a secret of 32 bits that only the two
// hosts and the path between them know: nothing ends, commits or is learned without one that fits.
import {
  type Candidate,
  currentCandidate,
  currentGeneration,
  type Generation,
  hasBeenInForce,
  ordinalOf,
  type Place,
  type SessionRecord,
  samePlace,
  type Tag,
} from "@holdfast/model";

export interface TagMatch {
  readonly generation: Generation;
  /** The candidate by whose tag, or toward whom, the packet travels; undefined while none has answered. */
  readonly candidate: Candidate | undefined;
  /**
   * `superseded`: was in force or pending once, and a later generation was committed. `concurrent`: two
   * members saw two INITs at once, and one of them is in force by now. Nobody knows which was the later; this
   * one has not been in force.
   */
  readonly role: "current" | "pending" | "concurrent" | "superseded";
}

/**
 * A client's packet carries the endpoint's tag; with `reflected` (T bit of ABORT and SHUTDOWN-COMPLETE, RFC
 * 9260 §8.5.1) the sender had no association and gives back the tag that was sent to it: the client's own.
 */
export function matchUp(record: SessionRecord, tag: Tag, reflected: boolean): TagMatch | undefined {
  return match(record, (generation) => {
    if (reflected) return generation.clientTag === tag ? answered(generation, undefined) : undefined;
    for (const candidate of generation.candidates.values())
      if (candidate.endpointTag === tag) return candidate;
    return undefined;
  });
}

/** An endpoint's packet carries the client's tag; reflected, its own. */
export function matchDown(
  record: SessionRecord,
  tag: Tag,
  reflected: boolean,
  path: Place,
): TagMatch | undefined {
  return match(record, (generation) => {
    if (reflected) {
      for (const candidate of generation.candidates.values()) {
        if (candidate.endpointTag === tag && samePlace(candidate, path)) return candidate;
      }
      return undefined;
    }
    return generation.clientTag === tag ? answered(generation, path) : undefined;
  });
}

/**
 * Runs through the generations, the current one first: `find` gives the candidate, `null` when the tag fits
 * but no candidate is known, undefined when it does not fit.
 */
function match(
  record: SessionRecord,
  find: (generation: Generation) => Candidate | null | undefined,
): TagMatch | undefined {
  const current = currentGeneration(record);
  if (current !== undefined) {
    const found = find(current);
    if (found !== undefined) {
      return { generation: current, candidate: found ?? currentCandidate(record), role: "current" };
    }
  }
  const after = current === undefined ? 0 : ordinalOf(current);
  for (const generation of record.generations.values()) {
    if (generation.clientTag === current?.clientTag) continue;
    const found = find(generation);
    if (found === undefined) continue;
    return { generation, candidate: found ?? undefined, role: roleOf(generation, after) };
  }
  return undefined;
}

/** `after`: the ordinal of the generation in force, 0 when there is none. */
function roleOf(generation: Generation, after: number): TagMatch["role"] {
  const ordinal = ordinalOf(generation);
  if (generation.aborted || ordinal < after) return "superseded";
  if (ordinal > after) return "pending";
  return hasBeenInForce(generation) ? "superseded" : "concurrent";
}

/**
 * The candidate of a generation on a path: the one that a COOKIE-ECHO chose, else the first that answered.
 */
function answered(generation: Generation, path: Place | undefined): Candidate | null {
  let best: Candidate | null = null;
  for (const candidate of generation.candidates.values()) {
    if (path !== undefined && !samePlace(candidate, path)) continue;
    if (best === null || rank(candidate) > rank(best)) best = candidate;
  }
  return best;
}

function rank(candidate: Candidate): number {
  return candidate.echoed ? 2 : candidate.endpointTag !== 0 ? 1 : 0;
}

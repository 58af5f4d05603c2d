// After the end: packets pass through a linger, time-outs are undone by tag-valid traffic, the rest is dead.
import {
  type Candidate,
  type Commit,
  commitOf,
  currentCandidate,
  currentGeneration,
  effectivePhase,
  isEnded,
  isEndOfAnotherRestart,
  isLiving,
  ordinalOf,
  type Phase,
  type SessionRecord,
  type Tag,
} from "@holdfast/model";
import type { Core } from "../../core.ts";
import type { TagMatch } from "../../tracker/match.ts";
import type { Direction } from "../../tracker/transitions.ts";

/**
 * A lost SHUTDOWN-COMPLETE, an ABORT that crossed with data: the ends still have something to say to each
 * other.
 */
export function isLingering(core: Core, record: SessionRecord): boolean {
  const endedMs = core.sessions.get(record.id)?.endedMs;
  return (
    record.end?.absorbing === true &&
    endedMs !== undefined &&
    core.clock.nowMs() - endedMs < core.limits.lingerMs
  );
}

/**
 * The end was of an earlier generation: the client had begun again before it, and its handshake goes on. Its
 * commit outlives the end.
 */
export function isRestarting(record: SessionRecord, match: TagMatch): boolean {
  return (match.role === "pending" || match.role === "concurrent") && record.commit !== undefined;
}

/** The phase that a packet of this generation meets. */
export function phaseFor(record: SessionRecord, match: TagMatch): Phase {
  if (match.role === "current") return effectivePhase(record);
  return isEnded(record) && !isRestarting(record, match) ? "closed" : match.generation.phase;
}

/**
 * A time-out never absorbs: traffic with the tag in force shows that it was wrong (the silent half of a
 * partition, an idle limit that was too short). Not when the NAT port has a new owner meanwhile; and that an
 * endpoint was down only the endpoint itself can deny: its client was told, and must not hang on. A shutdown
 * absorbs, but for the restart that another member put in force at the same time (`isEndOfAnotherRestart`):
 * it is put in force anew. undefined: it stays dead.
 */
export function revive(
  core: Core,
  record: SessionRecord,
  match: TagMatch,
  tag: Tag,
  direction: Direction,
): SessionRecord | undefined {
  if (record.end === undefined || record.commit === undefined) return undefined;
  if (isRivalOfEnded(record, match)) {
    const { candidate, generation } = match;
    return (
      candidate && putInForce(core, record, candidate, commitOf(record, generation.clientTag, candidate))
    );
  }
  if (record.end.absorbing && !isEndOfAnotherRestart(record)) return undefined;
  if (record.end.cause === "endpointDown" && direction === "up") return undefined;
  const candidate = currentCandidate(record);
  const inForce = direction === "up" ? candidate?.endpointTag : currentGeneration(record)?.clientTag;
  if (candidate === undefined || inForce !== tag) return undefined;
  return putInForce(core, record, candidate, record.end.absorbing ? record.commit : undefined);
}

/**
 * The restart that ended was put in force at the same time as this one, by members that could not hear each
 * other, and the order of commits preferred it. Both have been in force; the end is the other one's, and of this
 * one somebody still speaks.
 */
function isRivalOfEnded(
  { end, generations, commit }: SessionRecord,
  { generation, role }: TagMatch,
): boolean {
  const ended = commit && generations.get(commit.clientTag);
  if (end?.absorbing !== true || ended === undefined || role !== "superseded") return false;
  const isItsEnd = end.cause === "shutdown" ? ended.phase !== "established" : ended.aborted;
  if (!isItsEnd || end.epochSeen !== commit?.epoch || generation.aborted) return false;
  return generation.phase === "established" && ordinalOf(generation) === ordinalOf(ended);
}

/** With the commit anew behind the end, where that absorbs; undefined: the NAT port has a new owner. */
function putInForce(
  core: Core,
  { id, end, activity, generations }: SessionRecord,
  { endpoint, endpointPort, natPort }: Candidate,
  commit: Commit | undefined,
): SessionRecord | undefined {
  const holders = core.table.byNatPort(endpoint, endpointPort, natPort);
  if (holders.some((holder) => holder.id !== id && isLiving(holder))) return undefined;
  const anew = commit && end && { commit: { ...commit, epoch: end.epochSeen + 1 }, generations };
  return core.table.apply({ id, activity: activity + 1, ...anew }, { urgent: true });
}

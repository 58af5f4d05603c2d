// After the end: packets pass through a linger, time-outs are undone by tag-valid traffic, the rest is dead.
import {
  candidateKeyOf,
  currentCandidate,
  currentGeneration,
  effectivePhase,
  isEnded,
  isEndOfAnotherRestart,
  isLiving,
  type Phase,
  type SessionRecord,
  type Tag,
} from "@holdfast/model";
import type { Core } from "../../core.ts";
import { ordinalOf, type TagMatch } from "../../tracker/match.ts";
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
  if (isRivalOfEnded(record, match)) return putInForce(core, record, match);
  if (record.end.absorbing && !isEndOfAnotherRestart(record)) return undefined;
  if (record.end.cause === "endpointDown" && direction === "up") return undefined;
  const candidate = currentCandidate(record);
  const inForce = direction === "up" ? candidate?.endpointTag : currentGeneration(record)?.clientTag;
  if (candidate === undefined || inForce !== tag) return undefined;
  const holders = core.table.byNatPort(candidate.endpoint, candidate.endpointPort, candidate.natPort);
  if (holders.some((holder) => holder.id !== record.id && isLiving(holder))) return undefined;
  const activity = record.activity + 1;
  if (!record.end.absorbing) return core.table.apply({ id: record.id, activity }, { urgent: true });
  const commit = { ...record.commit, epoch: record.end.epochSeen + 1 };
  const generations = record.generations;
  return core.table.apply({ id: record.id, activity, commit, generations }, { urgent: true });
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

function putInForce(core: Core, record: SessionRecord, match: TagMatch): SessionRecord | undefined {
  const { generation, candidate } = match;
  if (candidate === undefined || record.end === undefined) return undefined;
  const holders = core.table.byNatPort(candidate.endpoint, candidate.endpointPort, candidate.natPort);
  if (holders.some((holder) => holder.id !== record.id && isLiving(holder))) return undefined;
  const { clientTag } = generation;
  const commit = { epoch: record.end.epochSeen + 1, clientTag, candidate: candidateKeyOf(candidate) };
  const { id, activity, generations } = record;
  return core.table.apply({ id, activity: activity + 1, commit, generations }, { urgent: true });
}

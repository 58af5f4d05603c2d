// The join of two session records, or of a record and a delta: associative, commutative, idempotent. What members end
// with depends on the set of facts alone, not on their order, their number or their route.
//
// Bounded sets keep their laws because what stays is chosen by immutable keys (candidate.ts, generation.ts): an element
// that k better ones displaced is displaced in every greater set as well. The committed generation travels inside the
// commit, as the second half of a lexicographic pair: the greater commit brings its own, equal ones are joined.
import type { Address } from "../address.ts";
import { PROTOCOL_SCTP } from "../service.ts";
import { sameEntries } from "./candidate.ts";
import { joinGeneration, joinGenerations, normalGeneration, phaseRank } from "./generation.ts";
import { compareText } from "./order.ts";
import {
  CLIENT_ADDRESS_COUNT_MAX,
  type Commit,
  type End,
  type Generation,
  type Heard,
  type SessionDelta,
  type SessionId,
  type SessionRecord,
} from "./record.ts";

const NO_CLIENTS: ReadonlyMap<Address, boolean> = new Map();
const NO_GENERATIONS: ReadonlyMap<number, Generation> = new Map();
const NO_HEARD: ReadonlyMap<number, Heard> = new Map();
/** Nothing known yet about when it was made; greater than any wall clock. */
const NEVER = Number.MAX_SAFE_INTEGER;

/** The record that knows nothing: the least element. Its identity (service id "" and client port 0) is unknown. */
export function emptyRecord(id: SessionId): SessionRecord {
  return {
    id,
    protocol: PROTOCOL_SCTP,
    serviceId: "",
    clientPort: 0,
    createdAtMs: NEVER,
    clients: NO_CLIENTS,
    generations: NO_GENERATIONS,
    commit: undefined,
    heard: NO_HEARD,
    activity: 0,
    end: undefined,
  };
}

/** Deltas of several members arrive in any order: until the first one with the identity a record is not shown. */
export function isIdentified(record: SessionRecord): boolean {
  return record.serviceId !== "";
}

/** Joins what `delta` says into `record`. Returns `record` itself when nothing is new. */
export function join(record: SessionRecord, delta: SessionDelta): SessionRecord {
  const identity = joinIdentity(record, delta);
  const createdAtMs = Math.min(record.createdAtMs, delta.createdAtMs ?? NEVER);
  const clients = delta.clients === undefined ? record.clients : joinClients(record.clients, delta.clients);
  const generations =
    delta.generations === undefined
      ? record.generations
      : joinGenerations(record.generations, delta.generations);
  const commit = joinCommits(record.commit, delta.commit);
  const heard = delta.heard === undefined ? record.heard : joinHeard(record.heard, delta.heard);
  const activity = Math.max(record.activity, delta.activity ?? 0);
  const end = joinEnds(record.end, delta.end);
  if (
    identity === record &&
    createdAtMs === record.createdAtMs &&
    clients === record.clients &&
    generations === record.generations &&
    commit === record.commit &&
    heard === record.heard &&
    activity === record.activity &&
    end === record.end
  ) {
    return record;
  }
  return {
    id: record.id,
    protocol: record.protocol,
    serviceId: identity.serviceId,
    clientPort: identity.clientPort,
    createdAtMs,
    clients,
    generations,
    commit: sharedCommit(commit, generations),
    heard,
    activity,
    end,
  };
}

/** The id fixes the identity; should two differ nevertheless, the smaller one stays everywhere. */
function joinIdentity(a: SessionRecord, b: SessionDelta): Pick<SessionRecord, "serviceId" | "clientPort"> {
  const { serviceId = "", clientPort = 0 } = b;
  if (serviceId === "") return a;
  const order = a.serviceId === "" ? 1 : compareText(a.serviceId, serviceId) || a.clientPort - clientPort;
  return order <= 0 ? a : { serviceId, clientPort };
}

function joinClients(
  a: ReadonlyMap<Address, boolean>,
  b: ReadonlyMap<Address, boolean>,
): ReadonlyMap<Address, boolean> {
  if (a.size === 0 && b.size <= CLIENT_ADDRESS_COUNT_MAX) return b.size === 0 ? a : b;
  let changed = false;
  for (const [address, verified] of b) {
    const ours = a.get(address);
    if (ours === undefined || (verified && !ours)) changed = true;
  }
  if (!changed) return a;
  const all = new Map(a);
  for (const [address, verified] of b) all.set(address, verified || a.get(address) === true);
  if (all.size <= CLIENT_ADDRESS_COUNT_MAX) return all;
  const kept = new Map([...all].sort(([x], [y]) => compareText(x, y)).slice(0, CLIENT_ADDRESS_COUNT_MAX));
  return sameEntries(a, kept) ? a : kept;
}

/** The greater epoch, then tag, then candidate key. */
export function compareCommits(a: Commit, b: Commit): number {
  return a.epoch - b.epoch || a.clientTag - b.clientTag || compareText(a.candidate, b.candidate);
}

function joinCommits(a: Commit | undefined, b: Commit | undefined): Commit | undefined {
  if (b === undefined) return a;
  if (a === undefined) return normalCommit(b);
  const order = compareCommits(a, b);
  if (order !== 0) return order > 0 ? a : normalCommit(b);
  if (b.generation === undefined) return a;
  const theirs = normalGeneration(b.generation);
  const generation = a.generation === undefined ? theirs : joinGeneration(a.generation, theirs);
  return generation === a.generation ? a : { ...a, generation };
}

function normalCommit(commit: Commit): Commit {
  if (commit.generation === undefined) return commit;
  const generation = normalGeneration(commit.generation);
  return generation === commit.generation ? commit : { ...commit, generation };
}

/** Keeps one object where the committed generation is also among the latest ones: memory, not meaning. */
function sharedCommit(
  commit: Commit | undefined,
  generations: ReadonlyMap<number, Generation>,
): Commit | undefined {
  if (commit?.generation === undefined) return commit;
  const listed = generations.get(commit.clientTag);
  if (listed === undefined || listed === commit.generation) return commit;
  return joinGeneration(listed, commit.generation) === listed &&
    joinGeneration(commit.generation, listed) === commit.generation
    ? { ...commit, generation: listed }
    : commit;
}

function laterHeard(a: Heard, b: Heard): Heard {
  const order = a.stamp - b.stamp || a.member - b.member || compareText(a.address, b.address);
  return order >= 0 ? a : b;
}

function joinHeard(a: ReadonlyMap<number, Heard>, b: ReadonlyMap<number, Heard>): ReadonlyMap<number, Heard> {
  let all: Map<number, Heard> | undefined;
  for (const [vip, theirs] of b) {
    const ours = a.get(vip);
    const joined = ours === undefined ? theirs : laterHeard(ours, theirs);
    if (joined !== ours) {
      all ??= new Map(a);
      all.set(vip, joined);
    }
  }
  return all ?? a;
}

/**
 * Which of two ends stays: first the one that saw the later commit, since an end of an earlier generation says nothing
 * about a later one; then a verified one before a time-out; then the time-out that saw more.
 */
export function compareEnds(a: End, b: End): number {
  return (
    a.epochSeen - b.epochSeen ||
    Number(a.absorbing) - Number(b.absorbing) ||
    a.activitySeen - b.activitySeen ||
    phaseRank(a.phaseSeen) - phaseRank(b.phaseSeen) ||
    compareText(a.cause, b.cause)
  );
}

function joinEnds(a: End | undefined, b: End | undefined): End | undefined {
  if (b === undefined) return a;
  return a === undefined || compareEnds(a, b) < 0 ? b : a;
}

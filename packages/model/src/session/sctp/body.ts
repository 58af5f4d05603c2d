// SCTP's part of a record, and its join. The committed generation travels inside the commit, as the second
// half of a lexicographic pair: the greater commit brings its own, equal ones are joined.
import type { Address } from "../../address.ts";
import { compareText } from "../order.ts";
import {
  CLIENT_ADDRESS_COUNT_MAX,
  type Commit,
  type Generation,
  type Heard,
  type SctpBody,
} from "../record.ts";
import { sameEntries } from "./candidate.ts";
import { joinGeneration, joinGenerations, normalGeneration } from "./generation.ts";

const NO_CLIENTS: ReadonlyMap<Address, boolean> = new Map();
const NO_GENERATIONS: ReadonlyMap<number, Generation> = new Map();
const NO_HEARD: ReadonlyMap<number, Heard> = new Map();

/** The one that knows nothing. */
export const EMPTY_BODY: SctpBody = {
  clients: NO_CLIENTS,
  generations: NO_GENERATIONS,
  commit: undefined,
  heard: NO_HEARD,
};

/** Returns `body` itself when nothing is new. */
export function joinBody(body: SctpBody, delta: Partial<SctpBody>): SctpBody {
  const clients = delta.clients === undefined ? body.clients : joinClients(body.clients, delta.clients);
  const generations =
    delta.generations === undefined ? body.generations : joinGenerations(body.generations, delta.generations);
  const commit = joinCommits(body.commit, delta.commit);
  const heard = delta.heard === undefined ? body.heard : joinHeard(body.heard, delta.heard);
  if (
    clients === body.clients &&
    generations === body.generations &&
    commit === body.commit &&
    heard === body.heard
  )
    return body;
  return { clients, generations, commit: sharedCommit(commit, generations), heard };
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

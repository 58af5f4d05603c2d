// Candidates of a generation: which endpoint and NAT port answered an INIT. Keyed by what they are, so that
// two members that saw the same INIT keep both answers until the client's COOKIE-ECHO chooses.
import type { Address } from "../../address.ts";
import { compareText, joinSortedTexts } from "../order.ts";
import {
  CANDIDATE_COUNT_MAX,
  CANDIDATE_COUNT_MAX_PER_MEMBER,
  type Candidate,
  type CandidateKey,
  ENDPOINT_ADDRESS_COUNT_MAX,
} from "../record.ts";

export type CandidateIdentity = Pick<
  Candidate,
  "member" | "endpoint" | "endpointPort" | "natPort" | "endpointTag"
>;

/**
 * Keys made lately, by tag: one candidate is read several times within milliseconds, and its text is long.
 */
const KEY_COUNT = 1024;
const keyOwners: (CandidateIdentity | undefined)[] = new Array<undefined>(KEY_COUNT).fill(undefined);
const keys: CandidateKey[] = new Array<CandidateKey>(KEY_COUNT).fill("");

export function candidateKeyOf(candidate: CandidateIdentity): CandidateKey {
  const { member, endpoint, endpointPort, natPort, endpointTag } = candidate;
  const at = (endpointTag ^ (endpointTag >>> 10) ^ natPort) & (KEY_COUNT - 1);
  const owner = keyOwners[at];
  if (
    owner !== undefined &&
    owner.endpointTag === endpointTag &&
    owner.natPort === natPort &&
    owner.endpointPort === endpointPort &&
    owner.member === member &&
    owner.endpoint === endpoint
  ) {
    return keys[at] as CandidateKey;
  }
  const key = `${member}/${endpoint}/${endpointPort}/${natPort}/${endpointTag}`;
  keyOwners[at] = { member, endpoint, endpointPort, natPort, endpointTag };
  keys[at] = key;
  return key;
}

/** What a key says, or undefined when it is none. */
export function parseCandidateKey(key: CandidateKey): CandidateIdentity | undefined {
  const parts = key.split("/");
  if (parts.length !== 5) return undefined;
  const identity = {
    member: Number(parts[0]),
    endpoint: parts[1] as Address,
    endpointPort: Number(parts[2]),
    natPort: Number(parts[3]),
    endpointTag: Number(parts[4]),
  };
  return candidateKeyOf(identity) === key ? identity : undefined;
}

/** Answered candidates before those of which only the INIT was forwarded, then by key. */
function compareCandidates(a: Candidate, aKey: string, b: Candidate, bKey: string): number {
  if ((a.endpointTag === 0) !== (b.endpointTag === 0)) return a.endpointTag === 0 ? 1 : -1;
  return compareText(aKey, bKey);
}

function joinCandidate(a: Candidate, b: Candidate): Candidate {
  const endpointAddresses = joinSortedTexts(
    a.endpointAddresses,
    b.endpointAddresses,
    ENDPOINT_ADDRESS_COUNT_MAX,
  );
  const echoed = a.echoed || b.echoed;
  return endpointAddresses === a.endpointAddresses && echoed === a.echoed
    ? a
    : { ...a, endpointAddresses, echoed };
}

function normalCandidate(candidate: Candidate): Candidate {
  const { endpointAddresses } = candidate;
  for (let i = 1; i < endpointAddresses.length; i++) {
    if (compareText(endpointAddresses[i - 1] as string, endpointAddresses[i] as string) >= 0) {
      return {
        ...candidate,
        endpointAddresses: joinSortedTexts([], endpointAddresses, ENDPOINT_ADDRESS_COUNT_MAX),
      };
    }
  }
  return endpointAddresses.length <= ENDPOINT_ADDRESS_COUNT_MAX
    ? candidate
    : { ...candidate, endpointAddresses: endpointAddresses.slice(0, ENDPOINT_ADDRESS_COUNT_MAX) };
}

type Candidates = ReadonlyMap<CandidateKey, Candidate>;

/**
 * Joins two sets of candidates. A forwarded INIT (tag 0) gives way to its answer. At most
 * CANDIDATE_COUNT_MAX_PER_MEMBER a member and CANDIDATE_COUNT_MAX in all stay, chosen by their immutable
 * keys, so that what is dropped in one order is dropped in every order. Returns `a` when `b` adds nothing.
 */
export function joinCandidates(a: Candidates, b: Candidates): Candidates {
  if (a === b) return a;
  let all: Map<CandidateKey, Candidate> | undefined;
  for (const [key, theirs] of b) {
    const ours = a.get(key);
    if (ours === theirs) continue;
    const joined =
      ours === undefined ? normalCandidate(theirs) : joinCandidate(ours, normalCandidate(theirs));
    if (joined === ours) continue;
    all ??= new Map(a);
    all.set(key, joined);
  }
  if (all === undefined) return a;
  const bounded = boundCandidates(all);
  return sameEntries(a, bounded) ? a : bounded;
}

/** Whether two maps hold the very same values, whatever their order. */
export function sameEntries<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}

/** Sorted, bounded, without what is dominated. */
export function boundCandidates(all: Candidates): Candidates {
  if (all.size === 0) return all;
  if (all.size === 1) {
    for (const [key, only] of all) {
      const normal = normalCandidate(only);
      return normal === only ? all : new Map([[key, normal]]);
    }
  }
  const answered = new Set<string>();
  for (const candidate of all.values()) {
    if (candidate.endpointTag !== 0) answered.add(candidateKeyOf({ ...candidate, endpointTag: 0 }));
  }
  const kept = new Map<CandidateKey, Candidate>();
  const countByMember = new Map<number, number>();
  const sorted = [...all].sort(([aKey, x], [bKey, y]) => compareCandidates(x, aKey, y, bKey));
  for (const [key, candidate] of sorted) {
    if (kept.size === CANDIDATE_COUNT_MAX) break;
    if (candidate.endpointTag === 0 && answered.has(key)) continue;
    const count = countByMember.get(candidate.member) ?? 0;
    if (count === CANDIDATE_COUNT_MAX_PER_MEMBER) continue;
    countByMember.set(candidate.member, count + 1);
    kept.set(key, normalCandidate(candidate));
  }
  return kept;
}

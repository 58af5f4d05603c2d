// The list of members in the shared configuration: one note for each member that is, or was, on it. Members
// of earlier builds carry notes that they do not understand.
//
//   member/NAME        {version, count, member: {number, zone, addresses, probePort, replicationPort}}
//                      {version, count, removed: {number, atMs}}
//   member-vote/NAME   what NAME promised and accepted about the next list (agreement.ts)
//
// `version`: of the list that this entry came with; `count`: members of that list. The greatest version is
// the list's, and it is whole when as many members are there as that entry says: changes may arrive one after
// the other.
import {
  type ListedAddress,
  type ListedMember,
  type MemberList,
  type MemberName,
  parseAddress,
  type RestingNumber,
} from "@holdfast/model";
import type { ConfigurationStore, Note } from "../services/store.ts";
import type { Vote } from "./agreement.ts";
import type { MemberChange } from "./change.ts";

type Notes = Pick<ConfigurationStore, "notes" | "setNote">;

const MEMBER = "member/";
const VOTE = "member-vote/";
const NAME_LENGTH_MAX = 63;
const NUMBER_MAX = 63;
const ADDRESS_COUNT_MAX = 8;
/** So many names of earlier members are known; beyond, the one that left first is forgotten. */
const FORMER_COUNT_MAX = 64;

/** undefined: nobody has changed the list yet, or not all of it is here. */
export function storedList(store: Pick<Notes, "notes">): MemberList | undefined {
  let version = 0;
  let count = 0;
  const members: ListedMember[] = [];
  const resting: RestingNumber[] = [];
  for (const [name, note] of store.notes()) {
    if (!name.startsWith(MEMBER)) continue;
    const entry = entryOf(name.slice(MEMBER.length), note);
    if (entry === undefined) continue;
    if (entry.version > version) ({ version, count } = entry);
    if (entry.member !== undefined) members.push(entry.member);
    if (entry.resting !== undefined) resting.push(entry.resting);
  }
  if (version === 0 || members.length !== count) return undefined;
  const taken = new Set(members.map(({ number }) => number));
  members.sort((a, b) => (a.name < b.name ? -1 : 1));
  const former = resting.filter(({ number }) => taken.has(number)).map(({ name }) => name);
  return {
    version,
    members,
    resting: resting.filter(({ number }) => !taken.has(number)).sort((a, b) => a.number - b.number),
    ...(former.length > 0 && { former: former.sort() }),
  };
}

/**
 * `list`: what the change made of `before`. The first one writes all members, whose list was in files until
 * then.
 */
export function storeList(store: Notes, before: MemberList, list: MemberList, change: MemberChange): void {
  const { version, members } = list;
  const count = members.length;
  const put = (member: ListedMember) => {
    const { name, ...rest } = member;
    store.setNote(MEMBER + name, { version, count, member: rest });
  };
  // First what takes something away: a list is never whole without it.
  if (change.kind === "remove") {
    const number = before.members.find(({ name }) => name === change.name)?.number ?? 0;
    store.setNote(MEMBER + change.name, { version, count, removed: { number, atMs: change.atMs } });
  }
  if (before.version === 0) for (const member of members) put(member);
  if (change.kind === "add") put(change.member);
  forget(store, list);
}

/** A machine that was taken out is told so when it comes back, also when its number is another one's. */
function forget(store: Notes, list: MemberList): void {
  const taken = new Set(list.members.map(({ number }) => number));
  const former: RestingNumber[] = [];
  for (const [name, note] of store.notes()) {
    const left = name.startsWith(MEMBER) ? entryOf(name.slice(MEMBER.length), note)?.resting : undefined;
    if (left !== undefined && taken.has(left.number)) former.push(left);
  }
  former.sort((a, b) => b.sinceMs - a.sinceMs || (a.name < b.name ? -1 : 1));
  for (const { name } of former.slice(FORMER_COUNT_MAX)) store.setNote(MEMBER + name, undefined);
}

export function storedVote(store: Pick<Notes, "notes">, name: MemberName): Vote | undefined {
  const note = store.notes().get(VOTE + name);
  return note === undefined ? undefined : voteOf(note);
}

export function storeVote(store: Notes, name: MemberName, vote: Vote): void {
  store.setNote(VOTE + name, { ...vote });
}

interface StoredEntry {
  readonly version: number;
  readonly count: number;
  readonly member?: ListedMember;
  readonly resting?: RestingNumber;
}

function entryOf(name: MemberName, note: Note): StoredEntry | undefined {
  const { version, count, member, removed } = note;
  if (!isWhole(version, Number.MAX_SAFE_INTEGER) || !isWhole(count, NUMBER_MAX + 1)) return undefined;
  if (member !== undefined) {
    const read = isObject(member) ? memberOf({ ...member, name }) : undefined;
    return read === undefined ? undefined : { version, count, member: read };
  }
  if (!isObject(removed)) return undefined;
  const { number, atMs } = removed;
  if (!isWhole(number, NUMBER_MAX) || !isWhole(atMs, Number.MAX_SAFE_INTEGER)) return undefined;
  return { version, count, resting: { name, number, sinceMs: atMs } };
}

/** A member as another one wrote it; undefined when it is not a valid one. */
export function memberOf(value: unknown): ListedMember | undefined {
  if (!isObject(value)) return undefined;
  const { name, number, zone, addresses, probePort, replicationPort } = value;
  if (typeof name !== "string" || name === "" || name.length > NAME_LENGTH_MAX) return undefined;
  if (!isWhole(number, NUMBER_MAX) || !isPort(probePort) || !isPort(replicationPort)) return undefined;
  if (zone !== undefined && (typeof zone !== "string" || zone.length > NAME_LENGTH_MAX)) return undefined;
  if (!Array.isArray(addresses) || addresses.length < 1 || addresses.length > ADDRESS_COUNT_MAX)
    return undefined;
  const read = addresses.map(addressOf);
  if (!read.every((each) => each !== undefined)) return undefined;
  const inZone = zone === undefined || zone === "" ? {} : { zone };
  return { name, number, ...inZone, addresses: read, probePort, replicationPort };
}

/** A change as another member asks for it; undefined when it is not a valid one. */
export function changeOf(value: unknown): MemberChange | undefined {
  if (!isObject(value)) return undefined;
  const { kind, member, name, atMs } = value;
  if (kind === "add") {
    const read = memberOf(member);
    return read === undefined ? undefined : { kind, member: read };
  }
  if (kind !== "remove" || typeof name !== "string" || !isWhole(atMs, Number.MAX_SAFE_INTEGER))
    return undefined;
  return { kind, name, atMs };
}

export function voteOf(value: unknown): Vote | undefined {
  if (!isObject(value)) return undefined;
  const { version, promised, accepted } = value;
  const ballot = ballotOf(promised);
  if (!isWhole(version, Number.MAX_SAFE_INTEGER) || ballot === undefined) return undefined;
  if (accepted === undefined) return { version, promised: ballot };
  const read = acceptedOf(accepted);
  return read === undefined ? undefined : { version, promised: ballot, accepted: read };
}

export function acceptedOf(value: unknown): Vote["accepted"] {
  if (!isObject(value)) return undefined;
  const ballot = ballotOf(value["ballot"]);
  const change = changeOf(value["change"]);
  return ballot === undefined || change === undefined ? undefined : { ballot, change };
}

export function ballotOf(value: unknown): Vote["promised"] | undefined {
  if (!isObject(value)) return undefined;
  const { round, by } = value;
  if (!isWhole(round, Number.MAX_SAFE_INTEGER)) return undefined;
  return by === -1 || isWhole(by, NUMBER_MAX) ? { round, by } : undefined;
}

function addressOf(value: unknown): ListedAddress | undefined {
  if (!isObject(value)) return undefined;
  const { network, address } = value;
  if (network !== undefined && (typeof network !== "string" || network.length > NAME_LENGTH_MAX))
    return undefined;
  try {
    const parsed = parseAddress(String(address));
    return network === undefined ? { address: parsed } : { network, address: parsed };
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isWhole(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

function isPort(value: unknown): value is number {
  return isWhole(value, 65_535) && value >= 1;
}

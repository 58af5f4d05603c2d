// Under which list of members a vote is asked for. A vote that is counted under another list than it was
// given under could make a majority that shares nobody with one of the list in force (docs/decisions/0360).
import type { MemberList } from "@holdfast/model";
import { digestOf } from "./change.ts";

export interface ListMark {
  readonly version: number;
  /** Of who the members are: before the first change the lists are those of files. */
  readonly digest: string;
}

const DIGEST_PATTERN = /^[0-9a-f]{32}$/;
const marks = new WeakMap<MemberList, ListMark>();

export function markOf(list: MemberList): ListMark {
  let mark = marks.get(list);
  if (mark === undefined) {
    mark = { version: list.version, digest: digestOf(list) };
    marks.set(list, mark);
  }
  return mark;
}

/** Another member's words; undefined when they are no mark. */
export function markFrom(value: unknown): ListMark | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { version, digest } = value as Record<string, unknown>;
  if (!Number.isSafeInteger(version) || (version as number) < 0) return undefined;
  if (typeof digest !== "string" || !DIGEST_PATTERN.test(digest)) return undefined;
  return { version: version as number, digest };
}

/**
 * Whether a member with this list may vote for one that counts under the list of `mark`; without one the
 * asker is of a build that knows the list of its file alone. A later list than the own one is no harm: what
 * is voted for now is in the voter's books before it takes any later list.
 */
export function mayVote(list: MemberList, mark: ListMark | undefined): boolean {
  if (mark === undefined) return list.version === 0;
  if (mark.version !== list.version) return mark.version > list.version;
  return mark.digest === markOf(list).digest;
}

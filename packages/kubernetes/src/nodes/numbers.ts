// Which number and name a new member gets: nobody's, and none that rests.
import type { MemberListView } from "@holdfast/api";
import { type MemberObject, memberNameOf } from "./member-object.ts";

export interface Given {
  readonly number: number;
  readonly memberName: string;
  readonly isFounder: boolean;
}

/** Why nothing can be given now. */
export type Refused = "members-away" | "numbers-exhausted" | "strangers";

/**
 * `list`: what the members say; undefined: none answers, which matters as soon as there has been a cluster.
 * `numberCount`: for how many numbers it has room. Pure.
 */
export function numberFor(
  object: MemberObject,
  others: readonly MemberObject[],
  list: MemberListView | undefined,
  numberCount: number,
): Given | Refused {
  const given = others.flatMap(({ status }) => (status?.number === undefined ? [] : [status.number]));
  const isFounder = given.length === 0 && list === undefined;
  const hasBegun = others.some(({ status }) => status?.phase === "Joined" || status?.phase === "Leaving");
  // Numbers may rest that only the members know.
  if (list === undefined && hasBegun) return "members-away";
  // Whom it would join nobody could tell it: the last one of all is still on its way out, or they are no nodes'.
  if (given.length === 0 && list !== undefined) return "strangers";
  const taken = new Set([
    ...given,
    ...(list?.items ?? []).map(({ number }) => number),
    ...(list?.resting ?? []).map(({ number }) => number),
  ]);
  const number = Array.from({ length: numberCount }, (_, index) => index).find((each) => !taken.has(each));
  if (number === undefined) return "numbers-exhausted";
  const names = new Set([
    ...others.flatMap(({ status }) => status?.memberName ?? []),
    ...(list?.items ?? []).map(({ name }) => name),
    ...(list?.resting ?? []).map(({ name }) => name),
  ]);
  const plain = memberNameOf(object.metadata.name);
  // A node that was deleted and made again is another member: the first one's name rests with its number.
  const memberName = names.has(plain)
    ? memberNameOf(object.metadata.name, (object.metadata.uid ?? "again").slice(0, 8))
    : plain;
  return { number, memberName, isFounder };
}

/** Where a member finds the others: those that are on the list, and whoever begins it. */
export function joinOf(
  object: MemberObject,
  others: readonly MemberObject[],
  replicationPort: number,
): string[] {
  if (object.status?.isFounder === true && !others.some(({ status }) => status?.phase === "Joined"))
    return [];
  return others
    .filter(({ status }) => status?.phase === "Joined" || status?.isFounder === true)
    .flatMap(({ spec }) => spec?.addresses ?? [])
    .map((address) => `${address.includes(":") ? `[${address}]` : address}:${replicationPort}`)
    .sort();
}

// One change of the list of members: what it makes of a list, and whether it can be made of it.
import { createHash } from "node:crypto";
import { HoldfastError, type ListedMember, type MemberList, type MemberName } from "@holdfast/model";

/** Most members of a cluster; numbers allow no more. */
export const MEMBER_COUNT_MAX = 64;

export type MemberChange =
  | { readonly kind: "add"; readonly member: ListedMember }
  /** `atMs`: wall clock; from then on its number rests. */
  | { readonly kind: "remove"; readonly name: MemberName; readonly atMs: number };

/** The list after the change; pure. Numbers that rested and are given again rest no longer. */
export function applied(list: MemberList, change: MemberChange): MemberList {
  const version = list.version + 1;
  if (change.kind === "add") {
    const { member } = change;
    const resting = list.resting.filter(({ number }) => number !== member.number);
    return { version, members: [...list.members, member], resting };
  }
  const leaving = list.members.find(({ name }) => name === change.name);
  const members = list.members.filter((member) => member !== leaving);
  if (leaving === undefined) return { ...list, version };
  const { name, number } = leaving;
  return { version, members, resting: [...list.resting, { name, number, sinceMs: change.atMs }] };
}

/**
 * Who the members are, and nothing else: before the first change each has the list from its own file, which
 * may write one address in two ways.
 */
export function digestOf({ version, members }: MemberList): string {
  const text = members
    .map(({ name, number }) => `${number} ${name}`)
    .sort()
    .join("\n");
  return createHash("sha256").update(`${version}\n${text}`).digest("hex").slice(0, 32);
}

/**
 * Throws MEMBER_EXISTS, MEMBER_NUMBER_TAKEN, MEMBER_NOT_FOUND, MEMBER_LAST, MEMBERS_TOO_MANY,
 * MEMBER_NAME_RESTS.
 */
export function checkChange(list: MemberList, change: MemberChange): void {
  const { members, resting } = list;
  if (change.kind === "remove") {
    if (!members.some(({ name }) => name === change.name))
      throw new HoldfastError("MEMBER_NOT_FOUND", { member: change.name });
    if (members.length === 1) throw new HoldfastError("MEMBER_LAST", { member: change.name });
    return;
  }
  const { name, number, addresses } = change.member;
  if (members.some((member) => member.name === name))
    throw new HoldfastError("MEMBER_EXISTS", { member: name });
  const holder = members.find((member) => member.number === number);
  if (holder !== undefined) throw new HoldfastError("MEMBER_NUMBER_TAKEN", { number, member: holder.name });
  if (resting.some((left) => left.name === name))
    throw new HoldfastError("MEMBER_NAME_RESTS", { member: name });
  const own = new Set(addresses.map(({ address }) => address));
  for (const member of members) {
    // Members on one machine share an address when their ports differ.
    if (member.replicationPort !== change.member.replicationPort) continue;
    const taken = member.addresses.find(({ address }) => own.has(address));
    if (taken !== undefined)
      throw new HoldfastError("MEMBER_ADDRESS_TAKEN", { address: taken.address, member: member.name });
  }
  if (members.length >= MEMBER_COUNT_MAX)
    throw new HoldfastError("MEMBERS_TOO_MANY", { limit: MEMBER_COUNT_MAX });
}

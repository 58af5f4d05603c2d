// Who belongs to the cluster: one list, which may change while everything runs. Whoever needs it takes it
// from here and hears of every change; nobody keeps a copy of its own.
import type { Address } from "./address.ts";
import type { MemberName } from "./ownership.ts";

/** Where a member is reached on one network. */
export interface ListedAddress {
  /** Name of the network; absent: that of the local interface whose prefix contains the address. */
  readonly network?: string;
  readonly address: Address;
}

export interface ListedMember {
  readonly name: MemberName;
  /** As in its certificate: 0 … 63, unique in a list. NAT ports follow from it. */
  readonly number: number;
  /** Failure domain; absent: none. */
  readonly zone?: string;
  /** 1 … 8; one on each network. */
  readonly addresses: readonly ListedAddress[];
  /** UDP port of the probes. */
  readonly probePort: number;
  /** TCP port of replication. */
  readonly replicationPort: number;
}

/** A number whose bearer has left: it is nobody's, and not to be given again yet. */
export interface RestingNumber {
  readonly number: number;
  /** Who had it. */
  readonly name: MemberName;
  /** Wall clock, ms: when it was taken out of the list. */
  readonly sinceMs: number;
}

export interface MemberList {
  /** 0: nobody has changed the list that the configuration files have. Each change is one more. */
  readonly version: number;
  /** All of them, alive or not, by name. */
  readonly members: readonly ListedMember[];
  readonly resting: readonly RestingNumber[];
  /** Who was taken out and whose number another one has; absent: nobody. Their machines may come back. */
  readonly former?: readonly MemberName[];
}

/** Called with the list as it is now and as it was. */
export type MembersListener = (list: MemberList, before: MemberList) => void;

export interface Members {
  current(): MemberList;
  /** Gives back what ends the subscription. */
  subscribe(listener: MembersListener): () => void;
}

/** The list, and the hand that changes it. */
export class MemberBook implements Members {
  readonly #listeners = new Set<MembersListener>();
  #list: MemberList;

  constructor(members: readonly ListedMember[]) {
    this.#list = { version: 0, members: byName(members), resting: [] };
  }

  current(): MemberList {
    return this.#list;
  }

  subscribe(listener: MembersListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Everybody is told, in the order of the subscriptions; the same list again is no change. */
  set(list: MemberList): void {
    const before = this.#list;
    const next = { ...list, members: byName(list.members) };
    if (JSON.stringify(next) === JSON.stringify(before)) return;
    this.#list = next;
    for (const listener of [...this.#listeners]) listener(next, before);
  }
}

/** A list that never changes. */
export function staticMembers(members: readonly ListedMember[]): Members {
  return new MemberBook(members);
}

/** How many of a list are more than half of it, alive or not. */
export function majorityOf({ members }: Pick<MemberList, "members">): number {
  return Math.floor(members.length / 2) + 1;
}

/** Numbers that somebody has, or that rest; ascending. Slots of all others are nobody's. */
export function takenNumbers({ members, resting }: MemberList): readonly number[] {
  return [...new Set([...members, ...resting].map(({ number }) => number))].sort((a, b) => a - b);
}

function byName(members: readonly ListedMember[]): readonly ListedMember[] {
  return [...members].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

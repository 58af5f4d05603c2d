// Who owns a VIP: computed by the coordinator, made true by the announcer and the forwarder.
import type { Address } from "./address.ts";

export type MemberName = string;

export interface VipOwnership {
  readonly vip: Address;
  /** undefined: nobody may own it now (minimumMembers, no endpoint, no ready member). */
  readonly owner: MemberName | undefined;
  /** Owner first, then first successor, … */
  readonly candidates: readonly MemberName[];
  /** Why, in plain words, for each candidate and each member passed over. */
  readonly reasons: readonly string[];
}

/** What this member must do for one VIP. */
export interface VipDuty {
  readonly vip: Address;
  readonly owned: boolean;
  /**
   * 0 while this member owns it; else its place behind the owner, 1 for the first successor, …; undefined: it
   * could not take it (not ready, not on its network). Who drains stands last.
   */
  readonly rank: number | undefined;
  /**
   * The member to which a dead daemon's data plane sends newcomers: first candidate that is not this member.
   */
  readonly successor: MemberName | undefined;
}

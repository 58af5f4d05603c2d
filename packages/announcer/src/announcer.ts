// The port that every announcer implements: l2 and none here, bgp later. All pass compliance.ts.
import type { Address } from "@holdfast/model";

export const ANNOUNCER_KINDS = ["l2", "none"] as const;
export type AnnouncerKind = (typeof ANNOUNCER_KINDS)[number];

/** VIPs that one member announces at a time; the coordinator refuses more in a cluster. */
export const ANNOUNCED_VIP_COUNT_MAX = 1_024;

/** One VIP as this member announces it now. */
export interface Announced {
  readonly vip: Address;
  /** Monotonic ms of the clock, when the announcement began. */
  readonly sinceMs: number;
  /** Where: interfaces of l2; empty for none, where routes are somebody else's. */
  readonly interfaces: readonly string[];
  /** Messages sent for it so far. */
  readonly messageCount: number;
  /** Why it does not lead traffic here although it is announced ("no interface has carrier"); undefined: it does. */
  readonly trouble: string | undefined;
}

export interface AnnouncerCounters {
  readonly sent: number;
  /** The kernel refused (interface down, queue full); repeats follow anyway. */
  readonly sendFailures: number;
  /** Repeats that came too late, as after SIGSTOP, and were put off: somebody else may own the VIP by now. */
  readonly postponed: number;
}

export interface Announcer {
  readonly kind: AnnouncerKind;
  /**
   * Leads the traffic of `vip` here: the first message has left when this returns. Again for an announced VIP:
   * announces it anew, which is right when another member claimed it in the meantime.
   */
  announce(vip: Address): void;
  /** Nothing is sent for `vip` any more when this returns. Unknown VIPs are no mistake. */
  withdraw(vip: Address): void;
  /** Everything announced now, in the order of its beginning. */
  announced(): readonly Announced[];
  counters(): AnnouncerCounters;
  /** Withdraws everything and releases what the announcer holds. Announcing afterwards does nothing. */
  stop(): Promise<void>;
}

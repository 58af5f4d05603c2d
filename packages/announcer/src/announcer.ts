// The port that every announcer implements: l2, bgp and none. All pass compliance.ts.
import type { Address, HoldfastError, RouteAttributes } from "@holdfast/model";

export const ANNOUNCER_KINDS = ["l2", "bgp", "none"] as const;
export type AnnouncerKind = (typeof ANNOUNCER_KINDS)[number];

/** VIPs that one member announces at a time; the coordinator refuses more in a cluster. */
export const ANNOUNCED_VIP_COUNT_MAX = 1_024;

/** What this member is for a VIP: 0 its owner, 1 the first successor, … "leaving": it drains, and serves what still comes. */
export type AnnouncedRank = number | "leaving";

export interface Announcement {
  readonly vip: Address;
  readonly rank: AnnouncedRank;
}

/** One VIP as this member announces it now. */
export interface Announced {
  readonly vip: Address;
  readonly rank: AnnouncedRank;
  /** Monotonic ms of the clock, when the announcement began, at whatever rank. */
  readonly sinceMs: number;
  /** Where: interfaces of l2, routers of bgp; empty for none, where routes are somebody else's. */
  readonly places: readonly string[];
  /** Messages sent for it so far. */
  readonly messageCount: number;
  /** Why it does not lead traffic here although it is announced ("no interface has carrier"); undefined: it does. */
  readonly trouble: string | undefined;
}

export interface AnnouncerCounters {
  readonly sent: number;
  /** The kernel or the speaker refused (interface down, queue full); repeats follow anyway. */
  readonly sendFailures: number;
  /** Repeats that came too late, as after SIGSTOP, and were put off: somebody else may own the VIP by now. */
  readonly postponed: number;
  /** How often a speaker ended, or was ended because it did not do its work, and was started again. */
  readonly speakerRestarts: number;
}

export interface Announcer {
  readonly kind: AnnouncerKind | "composite";
  /**
   * Leads the traffic of exactly these VIPs here, each by its rank; what is not among them is withdrawn. l2 takes rank
   * 0 alone, and its first messages have left when this returns. bgp resolves when its speaker has taken the routes,
   * or when it gave up waiting: it goes on trying, and `announced` says so. A later call replaces an earlier one.
   */
  announce(announcements: readonly Announcement[]): Promise<void>;
  /** Announces an announced VIP anew, which is right when another member claimed it in the meantime. */
  renew(vip: Address): void;
  /** Everything announced now, in the order of its beginning. */
  announced(): readonly Announced[];
  /** Routers that this announcer talks to; empty where there are none. */
  routers(): readonly RouterStatus[];
  /** Called after each change of `routers()`; the result ends that. */
  onStatus(listener: () => void): () => void;
  counters(): AnnouncerCounters;
  /**
   * Withdraws everything and releases what the announcer holds; announcing afterwards does nothing. `graceful`: it tells
   * routers, where it can, that the session ends on purpose.
   */
  stop(options?: { readonly graceful?: boolean }): Promise<void>;
}

/** A router as bgp sees it. */
export interface RouterStatus {
  readonly name: string;
  /** The neighbour's address, or the interface on which it is looked for. */
  readonly address: string;
  readonly as: number;
  readonly localAs: number;
  /** As RFC 4271 §8.2.2 names them; "Down" while the speaker does not run. */
  readonly session: SessionState;
  /** undefined: not asked for. */
  readonly bfd: "Up" | "Down" | "Init" | "AdminDown" | undefined;
  /** What the speaker says about it ("Socket: Connection refused"); empty when all is well. */
  readonly info: string;
  /** Wall ms since when it is up or not, BFD likewise. On the way to a session, its states alternate. */
  readonly sinceWallMs: number;
  /** How often the session was lost since the start. */
  readonly flapCount: number;
  /** What is allowed and likely not meant, each with its code. */
  readonly warnings: readonly HoldfastError[];
  /** What it is told now, as the speaker was ordered; nothing while the session is down. */
  readonly routes: readonly RouterRoute[];
}

export type SessionState =
  | "Idle"
  | "Connect"
  | "Active"
  | "OpenSent"
  | "OpenConfirm"
  | "Established"
  | "Passive"
  | "Down";

export interface RouterRoute {
  readonly vip: Address;
  readonly rank: AnnouncedRank;
  /** Why it goes out like that, or why not. */
  readonly reason: string;
  /** undefined: this router does not get it. */
  readonly attributes: RouteAttributes | undefined;
}

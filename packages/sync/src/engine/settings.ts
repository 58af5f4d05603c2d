// What can be tuned, with its defaults. Times are on the monotonic clock.

import { CAPABILITIES } from "../messages/capabilities.ts";
import type { PeerIdentity } from "../ports/transport.ts";

export interface ReplicationSettings {
  readonly member: PeerIdentity;
  /** Every configured member, this one included, as the list is now: read it when it is needed. */
  members: readonly PeerIdentity[];
  /** What this member offers; those of `members` are as they greet. Default: all that this build can. */
  readonly capabilities: readonly string[];
  /** M: how long a journal remembers. Every segment retires within it. */
  readonly memoryMs: number;
  readonly segmentTickMax: number;
  readonly segmentDeltaMax: number;
  /** Between two summaries to a peer. */
  readonly summaryPeriodMs: number;
  /** Between two rounds of retiring and of looking for dead incarnations. */
  readonly maintenancePeriodMs: number;
  /** How long `released` waits at most. */
  readonly releaseLimitMs: number;
  /** How long `ask` waits at most. */
  readonly askLimitMs: number;
  /**
   * A member that misses others at its start, and hears nobody who has caught up, is ready after this long.
   */
  readonly startWaitMs: number;
  readonly allocateWaitMs: number;
  /**
   * Deltas of one batch to the view, and batches that it has not confirmed: bounds a turn of its event loop.
   */
  readonly batchDeltaMax: number;
  readonly batchCountMax: number;
  /** Deltas that wait for the view before fetching pauses. */
  readonly deliveryPauseCount: number;
  /**
   * Deltas that wait for the view before live ticks are left to be fetched: bounds the memory of a slow view.
   */
  readonly deliveryCountMax: number;
  /** Fetches on their way per peer. */
  readonly fetchCountMax: number;
  /** Records asked of the view at once, to be written again. */
  readonly exportCountMax: number;
}

/** Default of M. */
export const JOURNAL_MEMORY_MS = 45_000;

export const REPLICATION_DEFAULTS = {
  capabilities: CAPABILITIES,
  memoryMs: JOURNAL_MEMORY_MS,
  segmentTickMax: 256,
  segmentDeltaMax: 4096,
  summaryPeriodMs: 3_000,
  maintenancePeriodMs: 1_000,
  releaseLimitMs: 20,
  askLimitMs: 50,
  startWaitMs: 5_000,
  allocateWaitMs: 10_000,
  batchDeltaMax: 256,
  batchCountMax: 8,
  deliveryPauseCount: 20_000,
  deliveryCountMax: 40_000,
  fetchCountMax: 4,
  exportCountMax: 128,
} as const satisfies Omit<ReplicationSettings, "member" | "members">;

/**
 * Share of M after which a segment's living sessions are written again; the rest is time for it to be done.
 */
export const RETIRE_SHARE = 0.6;
/** Share of M after which an open segment is sealed. */
export const SEAL_SHARE = 0.2;
/** Tombstones are kept this many M. */
export const TOMBSTONE_SHARE = 2;
/** Share of M in which one member's word makes another begin a new incarnation once at most. */
export const REINCARNATION_SHARE = 0.5;
/**
 * Incarnation counters are wall clock milliseconds at first. A hundred years ahead is no clock; the own one
 * may have been reset, so that years are counted from this one at the earliest.
 */
export const INCARNATION_LEAD_MAX_MS = 100 * 365 * 86_400_000;
export const WALL_CLOCK_MIN_MS = Date.UTC(2026, 0, 1);
/** Segments held of one actor; a writer that has more is refused. */
export const SEGMENT_COUNT_MAX = 2048;
/** Unretired incarnations held of one member. */
export const INCARNATION_COUNT_MAX = 16;
/** Releases, questions and lookups under way; beyond, the answer is "no" at once. */
export const WAITING_COUNT_MAX = 10_000;
/** Records of answers that no journal has carried yet. */
export const LOOSE_COUNT_MAX = 4096;

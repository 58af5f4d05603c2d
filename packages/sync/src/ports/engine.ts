// The engine as its host (worker thread or simulation) sees it. It is deterministic: clock, randomness,
// transport, store and journal factory are parameters, so that the same code runs in a worker thread and in a
// seeded simulation.

import type { MemberName } from "@holdfast/model";
import type { Actor } from "./journals.ts";

export interface EngineState {
  readonly incarnation: Actor;
  /** Caught up with all that are there: every member, one that had caught up, or whoever came in `startWaitMs`. */
  readonly ready: boolean;
  /** Heard every configured member since the start, or waited long enough: NAT ports may be allocated. */
  readonly mayAllocate: boolean;
  readonly connected: readonly number[];
  /** Configured members that nobody in reach is connected with. While there are any, tombstones are kept. */
  readonly missing: readonly number[];
  /** What every configured member offers, as its last greeting said: only such may be written. By name, sorted. */
  readonly offered: readonly string[];
}

export interface PeerStatus {
  readonly number: number;
  readonly name: MemberName;
  readonly connected: boolean;
  /** Ticks of this member's journal that the peer has not acknowledged. */
  readonly lagTicks: number;
  /** Milliseconds between the last acknowledged tick's flush and its acknowledgement. */
  readonly lagMs: number;
  readonly queuedBytes: number;
  /** What it offered when it was connected last; undefined: not since this member's start. */
  readonly capabilities: readonly string[] | undefined;
}

export interface EngineStatus {
  readonly state: EngineState;
  readonly peers: readonly PeerStatus[];
  readonly segmentCount: number;
  readonly carriedCount: number;
  readonly sessionCount: number;
  /** By stable name, for the metrics: counters and gauges. */
  readonly totals: Readonly<Record<string, number>>;
  /** Histogram of replication lag (flush to acknowledgement), upper bounds in ms and counts. */
  readonly lagHistogram: { readonly boundsMs: readonly number[]; readonly counts: readonly number[] };
}

/** The engine as its host (worker thread or simulation) sees it. */
export interface Engine {
  /** Loads the store, opens a new incarnation, starts the transport. */
  start(): Promise<void>;
  /** Flushes journals and store, stops the transport, frees documents. */
  stop(): Promise<void>;
}

// What was wanted of a million sessions: rows of kept runs, and what they should be.

export interface Goal {
  /** docs/performance/RUN.json */
  readonly run: string;
  /** The row's. */
  readonly case: string;
  /** How many times better than what the row is compared with, or the row's own value. */
  readonly of: "ratio" | "value";
  readonly atLeast?: number;
  readonly atMost?: number;
}

const faster = (run: string, name: string, atLeast: number): Goal => ({
  run,
  case: name,
  of: "ratio",
  atLeast,
});
const below = (run: string, name: string, atMost: number): Goal => ({
  run,
  case: name,
  of: "value",
  atMost,
});
const AT_3000 = "1000/s a member, 100000 live";

export const GOALS: readonly Goal[] = [
  faster("forward", "xdp-native/64/100B", 1.15),
  faster("forward", "xdp-native/50000/100B", 1.5),
  // As it comes, and with `dataPlane.handOver: veth`, which is the operator's choice (decision 0570).
  ...["tc", "tc-veth"].flatMap((mode) =>
    [64, 50_000].flatMap((flows) =>
      [100, 1_400].map((size) => faster("forward", `${mode}/${flows}/${size}B`, flows === 64 ? 1.25 : 1.4)),
    ),
  ),
  faster("replication", `${AT_3000}: processor, all members`, 1 / 0.4),
  below("replication", `${AT_3000}: lag p99`, 15),
  below("replication", `${AT_3000}: release timed out`, 0.01),
  faster("replication-100000", `${AT_3000}: processor, all members`, 1),
  faster("replication-100000", `${AT_3000}: lag p50`, 1 / 1.5),
  faster("replication-100000", `${AT_3000}: lag p99`, 1 / 1.5),
  below("memory-100000", "per session", 1_024),
  below("catch-up", "100000 sessions, with store: every session in the view", 1),
  below("catch-up", "100000 sessions, with store: event loops of the others, p99.9", 5),
  faster("idle", "no session: processor of a member", 1 / 0.15),
  faster("idle", "no session: resident", 1 / 0.6),
  faster("start", "one member alone: ready after", 2),
  faster("start", "three members together, the last: ready after", 2),
  faster("start", "one of three comes back: ready after", 2),
];

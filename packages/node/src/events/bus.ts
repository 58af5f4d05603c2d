// What happened at this member, for whoever listens; the log of the cluster keeps it
// (cluster/replicated-log.ts).
import type { NodeEvent } from "@holdfast/api";
import type { Clock } from "@holdfast/model";

export type EventFacts = Omit<NodeEvent, "id" | "at" | "member">;
/** As the log keeps it: its place in a stream is the stream's. */
export type EventBody = Omit<NodeEvent, "id">;

export interface EventBus {
  emit(facts: EventFacts): void;
  /** How many there were. */
  readonly count: number;
  subscribe(listener: (event: EventBody) => void): () => void;
}

export function createEventBus(member: string, clock: Clock): EventBus {
  const listeners = new Set<(event: EventBody) => void>();
  let count = 0;
  return {
    get count() {
      return count;
    },
    emit(facts) {
      count++;
      const event: EventBody = { at: new Date(clock.wallMs()).toISOString(), member, ...facts };
      for (const listener of [...listeners]) listener(event);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

// What happened, for whoever watches: a ring of the latest events, and listeners.
import type { NodeEvent } from "@holdfast/api";
import type { Clock } from "@holdfast/model";

/** Events kept for a client that comes back with Last-Event-ID; older ones are forgotten. */
export const EVENT_KEPT_COUNT_MAX = 1024;

export type EventFacts = Omit<NodeEvent, "id" | "at" | "member">;

export interface EventBus {
  emit(facts: EventFacts): void;
  /** The kept events with a greater id. */
  after(id: number): readonly NodeEvent[];
  /** Id of the latest event, 0 when there was none. */
  readonly latest: number;
  subscribe(listener: (event: NodeEvent) => void): () => void;
}

export function createEventBus(member: string, clock: Clock): EventBus {
  const ring: NodeEvent[] = [];
  const listeners = new Set<(event: NodeEvent) => void>();
  let latest = 0;
  return {
    get latest() {
      return latest;
    },
    emit(facts) {
      const event: NodeEvent = { id: ++latest, at: new Date(clock.wallMs()).toISOString(), member, ...facts };
      ring.push(event);
      if (ring.length > EVENT_KEPT_COUNT_MAX) ring.shift();
      for (const listener of [...listeners]) listener(event);
    },
    after: (id) => ring.filter((event) => event.id > id),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

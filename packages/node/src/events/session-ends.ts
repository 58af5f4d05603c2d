// Ends of sessions as events: each told by the member that saw it, and no more of them than anybody reads.
import type { Clock, SessionEnvelope } from "@holdfast/model";
import type { EventFacts } from "./bus.ts";

/** Told one by one within a second; the rest as one event that counts them. */
export const SESSION_EVENT_COUNT_MAX = 50;
const WINDOW_MS = 1_000;

export function sessionEndEvents(clock: Clock, emit: (facts: EventFacts) => void) {
  let windowEndsMs = Number.NEGATIVE_INFINITY;
  let told = 0;
  let further = new Map<string, number>();

  function tellRest(): void {
    const causes = [...further].map(([cause, count]) => `${cause} ${count}`).join(", ");
    const count = [...further.values()].reduce((sum, each) => sum + each, 0);
    further = new Map();
    emit({ type: "session", message: `${count} more sessions ended within a second: ${causes}.` });
  }

  return (record: SessionEnvelope): void => {
    const cause = record.end?.cause ?? "unknown";
    if (clock.nowMs() >= windowEndsMs) {
      windowEndsMs = clock.nowMs() + WINDOW_MS;
      told = 0;
    }
    if (++told <= SESSION_EVENT_COUNT_MAX) {
      emit({
        type: "session",
        message: `Session ${record.id} ended: ${cause}.`,
        session: record.id,
        service: record.serviceId,
        cause,
      });
      return;
    }
    if (further.size === 0) clock.after(windowEndsMs - clock.nowMs(), tellRest);
    further.set(cause, (further.get(cause) ?? 0) + 1);
  };
}

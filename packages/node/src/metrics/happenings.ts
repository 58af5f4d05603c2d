// What is counted as it happens: ends of sessions, events, take-overs.
import { type Protocol, protocolName } from "@holdfast/model";
import { Counter, Histogram, type Registry } from "prom-client";
import { counter, single } from "./collected.ts";
import type { MetricSources } from "./sources.ts";

export interface Happenings {
  /** A VIP came to this member: from the last sign of its previous owner to the announcement, when known. */
  takeOver(kind: "death" | "planned", durationMs: number | undefined): void;
  sessionEnded(protocol: Protocol, cause: string): void;
}

export function happeningMetrics(registers: Registry[], { events }: MetricSources): Happenings {
  const ends = new Counter({
    name: "holdfast_session_ends_total",
    help: "Sessions that ended, by protocol and cause, as this member learned of them.",
    labelNames: ["protocol", "cause"],
    registers,
  });
  counter(registers, { name: "holdfast_events_total", help: "Events of the API's event stream." }, () =>
    single(events.count),
  );
  const takeOvers = new Counter({
    name: "holdfast_takeovers_total",
    help: "VIPs that this member took over, by kind: death of the owner, or planned.",
    labelNames: ["kind"],
    registers,
  });
  const takeOverSeconds = new Histogram({
    name: "holdfast_takeover_duration_seconds",
    help: "From the last sign of a dead owner to the announcement by this member.",
    buckets: [0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1, 2, 5],
    registers,
  });
  return {
    takeOver(kind, durationMs) {
      takeOvers.inc({ kind });
      if (kind === "death" && durationMs !== undefined) takeOverSeconds.observe(durationMs / 1000);
    },
    sessionEnded: (protocol, cause) => ends.inc({ protocol: protocolName(protocol), cause }),
  };
}

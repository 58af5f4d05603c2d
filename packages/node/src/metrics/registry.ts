// Prometheus metrics. Names follow its conventions: holdfast_ first, base units, _total on counters. Values that
// somebody else counts (fast path, slow path, replication) are read when scraped, never copied on the way.
import { LoopDelay } from "@holdfast/model";
import { Registry } from "prom-client";
import { gauge, type Row } from "./collected.ts";
import { dataPlaneMetrics } from "./data-plane.ts";
import { type Happenings, happeningMetrics } from "./happenings.ts";
import { buildMetrics, clusterMetrics, memberMetrics } from "./member.ts";
import { packetMetrics } from "./packets.ts";
import { processMetrics } from "./process.ts";
import { replicationMetrics } from "./replication.ts";
import { routerMetrics } from "./routers.ts";
import { sessionMetrics } from "./sessions.ts";
import type { MetricSources } from "./sources.ts";

export interface NodeMetrics extends Happenings {
  readonly registry: Registry;
  /** Stops what measures the event loop, and forgets the metrics. */
  close(): void;
}

const EVENT_LOOP_QUANTILES = [0.5, 0.9, 0.99, 0.999, 1] as const;

/** In the order in which they are documented. */
export function createMetrics(sources: MetricSources): NodeMetrics {
  const registry = new Registry();
  const registers = [registry];
  const ofProcess = processMetrics(registry);
  buildMetrics(registers, sources);
  dataPlaneMetrics(registers, () => sources.fastPathStatus());
  memberMetrics(registers, sources);
  routerMetrics(registers, sources);
  clusterMetrics(registers, sources);
  sessionMetrics(registers, sources);
  const happenings = happeningMetrics(registers, sources);
  packetMetrics(registers, sources);
  replicationMetrics(registers, sources);
  const delay = eventLoopMetrics(registers);
  return {
    ...happenings,
    registry,
    close() {
      delay.close();
      ofProcess.close();
      registry.clear();
    },
  };
}

function eventLoopMetrics(registers: Registry[]): LoopDelay {
  const delay = new LoopDelay();
  gauge(
    registers,
    {
      name: "holdfast_event_loop_delay_seconds",
      help: "How long turns of the main event loop took since the last scrape: what came meanwhile waited.",
      labels: ["quantile"],
    },
    () => {
      const rows = EVENT_LOOP_QUANTILES.map(
        (quantile): Row => [{ quantile: String(quantile) }, delay.quantileMs(quantile) / 1e3],
      );
      delay.reset();
      return rows;
    },
  );
  return delay;
}

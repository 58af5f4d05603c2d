// What prom-client says of every Node process, under its names and in its order. Its way of measuring the
// event loop is not taken over: that one wakes the loop a hundred times a second.
import { LoopDelay } from "@holdfast/model";
import { Gauge, type Registry } from "prom-client";
import gc from "prom-client/lib/metrics/gc.js";
import heapSizeAndUsed from "prom-client/lib/metrics/heapSizeAndUsed.js";
import heapSpacesSizeAndUsed from "prom-client/lib/metrics/heapSpacesSizeAndUsed.js";
import osMemoryHeap from "prom-client/lib/metrics/osMemoryHeap.js";
import processCpuTotal from "prom-client/lib/metrics/processCpuTotal.js";
import processHandles from "prom-client/lib/metrics/processHandles.js";
import processMaxFileDescriptors from "prom-client/lib/metrics/processMaxFileDescriptors.js";
import processOpenFileDescriptors from "prom-client/lib/metrics/processOpenFileDescriptors.js";
import processRequests from "prom-client/lib/metrics/processRequests.js";
import processResources from "prom-client/lib/metrics/processResources.js";
import processStartTime from "prom-client/lib/metrics/processStartTime.js";
import version from "prom-client/lib/metrics/version.js";

/** Those before the event loop's and those behind it. */
const BEFORE = [
  processCpuTotal,
  processStartTime,
  osMemoryHeap,
  processOpenFileDescriptors,
  processMaxFileDescriptors,
];
const BEHIND = [
  processResources,
  processHandles,
  processRequests,
  heapSizeAndUsed,
  heapSpacesSizeAndUsed,
  version,
  gc,
];
const S_PER_MS = 1e-3;

/** Registers them; `close` stops what measures the loop. */
export function processMetrics(registry: Registry): { close(): void } {
  for (const part of BEFORE) part(registry);
  const delay = new LoopDelay();
  eventLoopMetrics(registry, delay);
  for (const part of BEHIND) part(registry);
  return { close: () => delay.close() };
}

function eventLoopMetrics(registry: Registry, delay: LoopDelay): void {
  const gauge = (what: string, help: string) =>
    new Gauge({ name: `nodejs_eventloop_lag_${what}seconds`, help, registers: [registry] });
  const recorded = (what: string) => `${what} of the recorded event loop delays.`;
  const lag = new Gauge({
    name: "nodejs_eventloop_lag_seconds",
    help: "Lag of event loop in seconds.",
    registers: [registry],
    // Sets them all, so that they are of the same turns.
    async collect() {
      const askedMs = performance.now();
      const { min: least, mean: middle, stddev: spread } = delay.summaryMs();
      min.set(least * S_PER_MS);
      mean.set(middle * S_PER_MS);
      stddev.set(spread * S_PER_MS);
      max.set(delay.quantileMs(1) * S_PER_MS);
      for (const [share, of] of quantiles) of.set(delay.quantileMs(share) * S_PER_MS);
      delay.reset();
      await new Promise((resolve) => setImmediate(resolve));
      lag.set((performance.now() - askedMs) * S_PER_MS);
    },
  });
  const min = gauge("min_", "The minimum recorded event loop delay.");
  const max = gauge("max_", "The maximum recorded event loop delay.");
  const mean = gauge("mean_", recorded("The mean"));
  const stddev = gauge("stddev_", recorded("The standard deviation"));
  const quantiles = [
    [0.5, gauge("p50_", recorded("The 50th percentile"))],
    [0.9, gauge("p90_", recorded("The 90th percentile"))],
    [0.99, gauge("p99_", recorded("The 99th percentile"))],
  ] as const;
}

// docs/metrics.md, from the registry of a node.
import { createMetrics as createControllerMetrics } from "@holdfast/kubernetes/testing";
import { createMetrics, quietSources } from "@holdfast/node/testing";
import {
  FAST_PATH_DROPS,
  FAST_PATH_EVENTS,
  LENGTH_REASONS,
  PUNTS,
  SLOW_PATH_DROPS,
  SLOW_PATH_EVENTS,
} from "./reasons.ts";
import { GENERATED, table } from "./table.ts";

interface Found {
  readonly name: string;
  readonly help: string;
  readonly type: string;
}

/** Of the controller for Kubernetes, which has a registry of its own. */
async function controllerRows(): Promise<string[][]> {
  const { registry } = createControllerMetrics({
    isLeader: () => false,
    controller: () => undefined,
    eventsDropped: () => 0,
  });
  const found = (await registry.getMetricsAsJSON()) as unknown as Found[];
  return found
    .filter(({ name }) => name.startsWith("holdfast_"))
    .map(({ name, type, help }) => {
      const { labelNames = [] } = registry.getSingleMetric(name) as unknown as { labelNames?: string[] };
      return [`\`${name}\``, type, labelNames.join(", "), help];
    });
}

export async function metricsText(): Promise<string> {
  const metrics = createMetrics(quietSources());
  const found = (await metrics.registry.getMetricsAsJSON()) as unknown as Found[];
  const labels = (name: string) =>
    (
      (metrics.registry.getSingleMetric(name) as unknown as { labelNames?: string[] } | undefined)
        ?.labelNames ?? []
    ).join(", ");
  const rows = (ours: boolean) =>
    found
      .filter(({ name }) => name.startsWith("holdfast_") === ours)
      .map(({ name, type, help }) => [`\`${name}\``, type, labels(name), help]);
  const [own, others] = [rows(true), rows(false)];
  // Closing empties the registry.
  metrics.close();
  const meanings = (reasons: Readonly<Record<string, string>>) =>
    Object.entries(reasons).map(([name, meaning]) => [`\`${name}\``, meaning]);
  return `${GENERATED}
# Metrics

\`GET /v1/metrics\`, in Prometheus's text format. Alert rules and a dashboard that use them are in \`deploy/\`.

${table(["Metric", "Type", "Labels", "Meaning"], own)}

## The controller for Kubernetes

\`GET /metrics\` of \`holdfast controller\` ([kubernetes.md](kubernetes.md)); of the leader, the others have zeros.

${table(["Metric", "Type", "Labels", "Meaning"], await controllerRows())}

## Reasons of drops, fast path

\`holdfast_fast_path_dropped_packets_total{reason}\`. ${LENGTH_REASONS}.

${table(["Reason", "Meaning"], meanings(FAST_PATH_DROPS))}

## Reasons of drops, slow path

\`holdfast_slow_path_dropped_packets_total{reason}\`

${table(["Reason", "Meaning"], meanings(SLOW_PATH_DROPS))}

## Reasons of punts

\`holdfast_fast_path_punts_total{reason}\`

${table(["Reason", "Meaning"], meanings(PUNTS))}

## Events

\`holdfast_slow_path_events_total{event}\`

${table(["Event", "Meaning"], meanings(SLOW_PATH_EVENTS))}

\`holdfast_fast_path_events_total\`

${table(["Event", "Meaning"], meanings(FAST_PATH_EVENTS))}

## The process

Of the process, by prom-client's and Prometheus's own names:

${table(["Metric", "Type", "Labels", "Meaning"], others)}
`;
}

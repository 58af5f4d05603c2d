// docs/metrics.md, from the registry of a node.
import { systemClock } from "../../packages/model/src/index.ts";
import { fakeNode } from "../../packages/node/src/api/testing/fake-node.ts";
import { createMetrics } from "../../packages/node/src/metrics/registry.ts";
import { GENERATED, table } from "./table.ts";

export async function metricsText(): Promise<string> {
  const { sources } = fakeNode();
  const none = new Map<string, number>();
  const metrics = createMetrics({
    version: "0",
    member: "m0",
    registry: sources.registry,
    catalogue: sources.catalogue,
    events: sources.events,
    fastPathMode: () => "tc",
    fastPathTotals: () => none,
    slowPathEvents: () => none,
    slowPathDrops: () => none,
    slowPathGauges: () => none,
    endpointHealth: () => ({ health: "unknown" }),
    ready: () => true,
    ownedVipCount: () => 0,
    membersAlive: () => 1,
    membersConfigured: () => 1,
    replication: async () => undefined,
  });
  const found = (await metrics.registry.getMetricsAsJSON()) as unknown as {
    readonly name: string;
    readonly help: string;
    readonly type: string;
  }[];
  const labels = (name: string) =>
    (
      (metrics.registry.getSingleMetric(name) as unknown as { labelNames?: string[] } | undefined)
        ?.labelNames ?? []
    ).join(", ");
  metrics.close();
  void systemClock;
  const rows = (ours: boolean) =>
    found
      .filter(({ name }) => name.startsWith("holdfast_") === ours)
      .map(({ name, type, help }) => [`\`${name}\``, type, labels(name), help]);
  return `${GENERATED}
# Metrics

\`GET /v1/metrics\`, in Prometheus's text format. Alert rules and a dashboard that use them are in \`deploy/\`.

${table(["Metric", "Type", "Labels", "Meaning"], rows(true))}

Of the process, by prom-client's and Prometheus's own names:

${table(["Metric", "Type", "Labels", "Meaning"], rows(false))}
`;
}

// A node of which nothing is to be measured: tests replace what they look at.
import { fakeNode } from "../../api/testing/fake-node.ts";
import type { MetricSources } from "../sources.ts";

export function quietSources(): MetricSources {
  const { sources } = fakeNode();
  const none = new Map<string, number>();
  return {
    version: "0",
    member: "m0",
    registry: sources.registry,
    catalogue: sources.catalogue,
    events: sources.events,
    fastPathMode: () => "tc",
    fastPathTotals: () => none,
    slowPathEvents: () => none,
    slowPathDrops: () => none,
    fastPathStatus: () => ({ interfaces: [], viaTc: [] }),
    slowPathGauges: () => none,
    endpointHealth: () => ({ health: "unknown" }),
    ready: () => true,
    routers: () => [],
    speakerRestarts: () => 0,
    ownedVipCount: () => 0,
    membersAlive: () => 1,
    membersConfigured: () => 1,
    probesRefused: () => ({}),
    vipClashes: () => new Map(),
    replication: async () => undefined,
    certificate: () => undefined,
    disk: () => ({ failure: undefined, brokenCount: 0 }),
  };
}

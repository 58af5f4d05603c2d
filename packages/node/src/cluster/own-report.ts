// This member's report.
import type { MemberReport } from "@holdfast/api";
import type { Clock } from "@holdfast/model";
import type { AnnouncementViews } from "../api/announcement-views.ts";
import { apiOrigins } from "../api/origins.ts";
import { routerView } from "../api/router-view.ts";
import type { OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { DataPlane } from "../data-plane/data-plane.ts";
import type { NetworkWatch } from "../network/watch.ts";
import type { Readiness } from "../readiness.ts";
import type { ClusterLink } from "./link.ts";
import { packetTotals } from "./news.ts";
import type { Topology } from "./topology.ts";

export interface ReportParts {
  readonly own: OwnMember;
  readonly configuration: () => Configuration;
  readonly startedAtMs: number;
  readonly version: string;
  readonly readiness: Readiness;
  readonly topology: Topology;
  readonly network: Pick<NetworkWatch, "interfaces">;
  readonly link: Pick<ClusterLink, "metrics" | "sessions">;
  readonly dataPlane: Pick<DataPlane, "mode" | "fastPathTotals" | "slowPathDrops" | "slowPathGauges">;
  readonly announcer: {
    routers(): readonly Parameters<typeof routerView>[0][];
  };
  readonly announcements: () => AnnouncementViews;
  readonly clock: Clock;
}

export async function ownReport(parts: ReportParts): Promise<MemberReport> {
  const { own, configuration, readiness, topology, network, link, dataPlane, announcer, clock } = parts;
  const now = network.interfaces();
  const { checks, status } = readiness.health(own.name, parts.version);
  const replication = await link.metrics();
  return {
    member: own.name,
    at: new Date(clock.wallMs()).toISOString(),
    version: parts.version,
    startedAt: new Date(parts.startedAtMs).toISOString(),
    ready: status === "ok",
    failing: checks.flatMap(({ name, ok, required, detail }) => (ok ? [] : [{ name, required, detail }])),
    fastPath: dataPlane.mode,
    sessions: link.sessions.size,
    natPortsUsed: dataPlane.slowPathGauges().get("nat-ports-used") ?? 0,
    interfaces: topology.interfaces.map(({ name, network: behind, roles }) => ({
      name,
      network: behind,
      roles: [...roles],
      up: now.has(name),
    })),
    peers: (replication?.peers ?? []).map(({ member, connected, lagMs, queuedBytes }) => ({
      member,
      connected,
      lagMs: Math.round(lagMs * 10) / 10,
      queue: queuedBytes,
    })),
    announcements: [...parts.announcements()].map(([vip, places]) => ({ vip, places: [...places] })),
    routers: announcer.routers().map(routerView),
    ...packetTotals(dataPlane),
    api: apiOrigins(configuration(), own),
  };
}

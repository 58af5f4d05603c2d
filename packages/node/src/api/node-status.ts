// What a member says about itself, under /v1/status.
import type { NodeStatus } from "@holdfast/api";
import type { ClusterLink } from "../cluster/link.ts";
import type { Topology } from "../cluster/topology.ts";
import type { OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { DataPlane } from "../data-plane/data-plane.ts";
import type { PreparedHost } from "../host/open.ts";
import type { NetworkWatch } from "../network/watch.ts";
import { HOLDFAST_VERSION } from "../version.ts";

export interface NodeStatusParts {
  readonly own: OwnMember;
  readonly configuration: Configuration;
  readonly startedAtMs: number;
  readonly topology: Topology;
  readonly network: Pick<NetworkWatch, "interfaces">;
  readonly link: Pick<ClusterLink, "sessions">;
  readonly dataPlane: Pick<DataPlane, "mode" | "status">;
  readonly host: Pick<PreparedHost, "status">;
}

export function nodeStatus(parts: NodeStatusParts): () => NodeStatus {
  const { own, configuration, startedAtMs, topology, network, link, dataPlane, host } = parts;
  return () => {
    const now = network.interfaces();
    const prepared = host.status(dataPlane.mode);
    return {
      member: own.name,
      cluster: configuration.cluster.id,
      version: HOLDFAST_VERSION,
      fastPath: dataPlane.mode,
      dataPlane: dataPlane.status(),
      ...(prepared !== undefined && { host: prepared }),
      interfaces: topology.interfaces.map(({ name, roles }) => ({
        name,
        roles: [...roles],
        up: now.has(name),
      })),
      sessions: link.sessions.size,
      startedAt: new Date(startedAtMs).toISOString(),
      pid: process.pid,
    };
  };
}

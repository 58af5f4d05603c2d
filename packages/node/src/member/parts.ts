// What a member is made of: ports and a clock that are parameters. The daemon gives it the machine, a
// simulation its own.
import type { Announcer } from "@holdfast/announcer";
import type { Coordinator } from "@holdfast/coordinator";
import type { Clock, Logger, Members } from "@holdfast/model";
import type { ClusterLink } from "../cluster/link.ts";
import type { MemberAddresses } from "../cluster/member-addresses.ts";
import type { MemberDirectory } from "../cluster/members.ts";
import type { Topology } from "../cluster/topology.ts";
import type { OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { DataPlane } from "../data-plane/data-plane.ts";
import type { EventBus } from "../events/bus.ts";
import type { RouterWatch } from "../network/router-watch.ts";
import type { NetworkWatch } from "../network/watch.ts";
import type { Readiness } from "../readiness.ts";
import type { LivingSessions, ServiceRegistry } from "../services/registry.ts";

export interface MemberParts {
  /** As it is now: a reload replaces it. */
  readonly configuration: () => Configuration;
  readonly own: OwnMember;
  readonly topology: Topology;
  readonly members: Members;
  readonly directory: MemberDirectory;
  readonly network: Pick<NetworkWatch, "interfaces" | "onChange">;
  /** Without it only members tell whether a network reaches anybody. */
  readonly routers?: Pick<RouterWatch, "need" | "isHeard">;
  readonly link: ClusterLink;
  readonly registry: ServiceRegistry;
  readonly sessions: LivingSessions;
  readonly dataPlane: DataPlane;
  readonly announcer: Announcer;
  /** Absent: nobody's addresses are known, and no VIP is one of them. */
  readonly addresses?: Pick<MemberAddresses, "holderOf" | "ownHolderOf" | "onChange">;
  readonly coordinator: Coordinator;
  readonly readiness: Readiness;
  readonly events: EventBus;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of all VIPs that are served, and whether others may not be known yet. */
  readonly host?: { setVips(vips: readonly string[], isComplete: boolean): void } | undefined;
  /** This member announces a VIP that another one had. */
  readonly tookOver?: (cause: "death" | "planned", durationMs: number | undefined) => void;
}

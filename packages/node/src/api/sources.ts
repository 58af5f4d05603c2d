// What the API reads and does. The daemon provides it; tests provide a small one.

import type { RouterStatus } from "@holdfast/announcer";
import type { Health, MemberView, NodeStatus, PathCounters, SessionDetail, TakeOver } from "@holdfast/api";
import type {
  Address,
  Clock,
  Logger,
  MemberName,
  ServiceId,
  SessionEnvelope,
  SessionId,
  SessionTable,
  VipOwnership,
} from "@holdfast/model";
import type { Registry } from "prom-client";
import type { ReplicatedLog } from "../cluster/replicated-log.ts";
import type { HeardReport } from "../cluster/reports.ts";
import type { Revocations } from "../cluster/revocations.ts";
import type { EventBody, EventBus } from "../events/bus.ts";
import type { MembershipOrders } from "../members/orders.ts";
import type { Judgement } from "../services/clashes.ts";
import type { PlacementOrders } from "../services/placement-orders.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import type { SessionCatalogue } from "../sessions/catalogue.ts";
import type { SessionTables } from "../sessions/tables.ts";
import type { TraceHub } from "../trace/hub.ts";
import type { AnnouncementViews } from "./announcement-views.ts";

export interface EndpointHealthView {
  readonly health: "up" | "down" | "unknown";
  readonly reason?: string;
  /** Of an endpoint with several addresses: each of them. */
  readonly addresses?: readonly {
    readonly address: Address;
    readonly health: "up" | "down" | "unknown";
    readonly reason?: string;
  }[];
  /** VIPs whose packets there, or the answers, are not known to arrive; no verdict. */
  readonly unproven?: readonly { readonly vip: Address; readonly reason: string }[];
  /** Other endpoints that are the same server, as they tell themselves. */
  readonly sameServerAs?: readonly string[];
  /** Of this member's latest answered probes. */
  readonly delays?: { readonly minMs: number; readonly averageMs: number; readonly maxMs: number };
}

export interface ApiSources {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly version: string;
  readonly registry: ServiceRegistry;
  /** Resolves when the shared configuration is on this member's disk, or that takes too long. */
  configurationKept(): Promise<void>;
  readonly table: SessionTable;
  /** All of them, those included that are only carried. `table`: SCTP's. */
  readonly sessions: SessionTables;
  readonly catalogue: SessionCatalogue;
  readonly events: EventBus;
  /** Events of all members. */
  readonly eventLog: ReplicatedLog<EventBody>;
  /** The last ones, the latest first. */
  takeOvers(): readonly TakeOver[];
  /** What members tell of themselves, by name. */
  reports(): Promise<ReadonlyMap<string, HeardReport>>;
  /** Origins of the members' pages. */
  memberOrigins(): ReadonlySet<string>;
  readonly trace: TraceHub;
  readonly metrics: Registry;
  status(): NodeStatus;
  health(): Health;
  ownerships(): readonly VipOwnership[];
  ownershipOf(vip: string): VipOwnership | undefined;
  /** Where this member announces VIPs. */
  announcements(): AnnouncementViews;
  /** VIPs that are somebody's address, and services that are not served. */
  clashes(): Pick<Judgement, "refused" | "clashes">;
  /** Routers that this member's announcer talks to. */
  routers(): readonly RouterStatus[];
  readonly revocations: Revocations;
  members(): Promise<readonly MemberView[]>;
  readonly orders: PlacementOrders;
  readonly membership: MembershipOrders;
  memberNameOf(number: number): MemberName;
  /** Numbers that members may have; NAT ports are cut by it. */
  memberNumberCount(): number;
  memberNumberOf(nameOrNumber: string): number | undefined;
  endpointHealth(service: ServiceId, endpoint: string): EndpointHealthView;
  /** Ends a living session. Throws SESSION_NOT_FOUND. */
  removeSession(id: SessionId): void;
  /** Counters of every member that answers in time. */
  countersOf(record: SessionEnvelope): Promise<readonly PathCounters[]>;
  replicationOf(id: SessionId): Promise<SessionDetail["replication"]>;
}

// What the metrics are made of, read at each scrape.
import type { RouterStatus } from "@holdfast/announcer";
import type { DataPlaneStatus } from "@holdfast/api";
import type { EventBus } from "../events/bus.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import type { SessionCatalogue } from "../sessions/catalogue.ts";

/** Totals by stable name, `kind.name`: drop.wrong-tag, punt.init, forward.packets. */
export type Totals = ReadonlyMap<string, number>;

export interface PeerMetrics {
  readonly member: string;
  readonly connected: boolean;
  readonly lagMs: number;
  readonly queuedBytes: number;
  /** As of its last greeting. */
  readonly capabilities?: readonly string[];
}

export interface ReplicationMetrics {
  readonly totals: Readonly<Record<string, number>>;
  readonly peers: readonly PeerMetrics[];
  /** Capabilities that every member has. */
  readonly offered: readonly string[];
  readonly lagHistogram: { readonly boundsMs: readonly number[]; readonly counts: readonly number[] };
}

/** What is read at a scrape. */
export interface MetricSources {
  readonly version: string;
  readonly member: string;
  readonly registry: ServiceRegistry;
  readonly catalogue: SessionCatalogue;
  readonly events: EventBus;
  fastPathMode(): string;
  fastPathStatus(): DataPlaneStatus;
  fastPathTotals(): Totals;
  /** Slow path: events and drops by name. */
  slowPathEvents(): Totals;
  slowPathDrops(): Totals;
  slowPathGauges(): Totals;
  endpointHealth(
    service: string,
    endpoint: string,
  ): { readonly health: "up" | "down" | "unknown"; readonly unproven?: readonly unknown[] };
  ready(): boolean;
  ownedVipCount(): number;
  routers(): readonly RouterStatus[];
  speakerRestarts(): number;
  membersAlive(): number;
  membersConfigured(): number;
  replication(): Promise<ReplicationMetrics | undefined>;
  /** undefined: this member has none. */
  certificate(): { readonly notAfterMs: number; readonly authorityNotAfterMs: number } | undefined;
  disk(): { readonly failure: string | undefined; readonly brokenCount: number };
  /** Datagrams of the probes that were refused, by reason. */
  probesRefused(): Readonly<Partial<Record<string, number>>>;
  /** By VIP. */
  vipClashes(): ReadonlyMap<string, { readonly servedHere: boolean }>;
}

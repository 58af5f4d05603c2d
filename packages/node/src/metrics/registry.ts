// Prometheus metrics. Names follow its conventions: holdfast_ first, base units, _total on counters. Values that
// somebody else counts (fast path, slow path, replication) are read when scraped, never copied on the way.
import type { RouterStatus } from "@holdfast/announcer";
import type { DataPlaneStatus } from "@holdfast/api";
import { PHASE_NAMES } from "@holdfast/api";
import { LoopDelay } from "@holdfast/model";
import { CAPABILITIES } from "@holdfast/sync";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { EventBus } from "../events/bus.ts";
import type { ServiceRegistry } from "../services/registry.ts";
import { endpointKey } from "../services/specification.ts";
import type { SessionCatalogue } from "../sessions/catalogue.ts";
import { dataPlaneMetrics } from "./data-plane.ts";

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
  endpointHealth(service: string, endpoint: string): { readonly health: "up" | "down" | "unknown" };
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

export interface NodeMetrics {
  readonly registry: Registry;
  /** A VIP came to this member: from the last sign of its previous owner to the announcement, when known. */
  takeOver(kind: "death" | "planned", durationMs: number | undefined): void;
  sessionEnded(cause: string): void;
  /** Stops what measures the event loop, and forgets the metrics. */
  close(): void;
}

const EVENT_LOOP_QUANTILES = [0.5, 0.9, 0.99, 0.999] as const;

export function createMetrics(sources: MetricSources): NodeMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  new Gauge({
    name: "holdfast_build_info",
    help: "Version of Holdfast and mode of the fast path; always 1.",
    labelNames: ["version", "member", "fast_path"],
    registers,
    collect() {
      this.reset();
      this.set({ version: sources.version, member: sources.member, fast_path: sources.fastPathMode() }, 1);
    },
  });
  dataPlaneMetrics(registers, () => sources.fastPathStatus());
  new Gauge({
    name: "holdfast_ready",
    help: "1 when this member may own VIPs.",
    registers,
    collect() {
      this.set(sources.ready() ? 1 : 0);
    },
  });
  new Gauge({
    name: "holdfast_vips_owned",
    help: "VIPs that this member owns.",
    registers,
    collect() {
      this.set(sources.ownedVipCount());
    },
  });
  new Counter({
    name: "holdfast_probes_refused_total",
    help: "Datagrams at the probe port that were not believed, by reason.",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(sources.probesRefused())) this.inc({ reason }, count ?? 0);
    },
  });
  new Gauge({
    name: "holdfast_vip_clashes",
    help: "VIPs that are the address of a member's interface, a gateway's or a network's broadcast address; served: whether this member serves it all the same.",
    labelNames: ["vip", "served"],
    registers,
    collect() {
      this.reset();
      for (const [vip, { servedHere }] of sources.vipClashes())
        this.set({ vip, served: servedHere ? "yes" : "no" }, 1);
    },
  });
  new Gauge({
    name: "holdfast_router_session_up",
    help: "1 while the BGP session with the router is established.",
    labelNames: ["router"],
    registers,
    collect() {
      this.reset();
      for (const { name, session } of sources.routers())
        this.set({ router: name }, session === "Established" ? 1 : 0);
    },
  });
  new Gauge({
    name: "holdfast_router_bfd_up",
    help: "1 while the BFD session with the router is up; only routers with BFD.",
    labelNames: ["router"],
    registers,
    collect() {
      this.reset();
      for (const { name, bfd } of sources.routers())
        if (bfd !== undefined) this.set({ router: name }, bfd === "Up" ? 1 : 0);
    },
  });
  new Gauge({
    name: "holdfast_router_session_flaps",
    help: "How often the session with the router was lost since the member's start.",
    labelNames: ["router"],
    registers,
    collect() {
      this.reset();
      for (const { name, flapCount } of sources.routers()) this.set({ router: name }, flapCount);
    },
  });
  new Counter({
    name: "holdfast_speaker_restarts_total",
    help: "How often the BGP speaker ended, or was ended because it did not do its work, and was started again.",
    registers,
    collect() {
      this.reset();
      this.inc(sources.speakerRestarts());
    },
  });
  new Gauge({
    name: "holdfast_router_routes",
    help: "VIPs that the router is told of.",
    labelNames: ["router"],
    registers,
    collect() {
      this.reset();
      for (const { name, session, routes } of sources.routers())
        this.set(
          { router: name },
          session === "Established" ? routes.filter(({ attributes }) => attributes !== undefined).length : 0,
        );
    },
  });
  new Gauge({
    name: "holdfast_members",
    help: "Members of the cluster by state, as this one sees them.",
    labelNames: ["state"],
    registers,
    collect() {
      const [alive, configured] = [sources.membersAlive(), sources.membersConfigured()];
      this.set({ state: "alive" }, alive);
      this.set({ state: "missing" }, Math.max(0, configured - alive));
    },
  });

  new Gauge({
    name: "holdfast_certificate_end_seconds",
    help: "Unix time at which this member's certificate, or the authority that signed it, ends.",
    labelNames: ["certificate"],
    registers,
    collect() {
      this.reset();
      const found = sources.certificate();
      if (found === undefined) return;
      this.set({ certificate: "member" }, found.notAfterMs / 1000);
      this.set({ certificate: "authority" }, found.authorityNotAfterMs / 1000);
    },
  });
  new Gauge({
    name: "holdfast_store_writable",
    help: "0 while the store's disk takes nothing: it is full, failing or read-only. 1 also without a store.",
    registers,
    collect() {
      this.set(sources.disk().failure === undefined ? 1 : 0);
    },
  });
  new Gauge({
    name: "holdfast_store_broken_files",
    help: "Files of the store that could not be read and were put aside under NAME.broken-TIME.",
    registers,
    collect() {
      this.set(sources.disk().brokenCount);
    },
  });

  new Gauge({
    name: "holdfast_sessions",
    help: "Sessions in this member's table by phase.",
    labelNames: ["phase"],
    registers,
    collect() {
      for (const phase of PHASE_NAMES) this.set({ phase }, sources.catalogue.countOfPhase(phase));
    },
  });
  new Gauge({
    name: "holdfast_service_sessions",
    help: "Living sessions of a service.",
    labelNames: ["service", "name"],
    registers,
    collect() {
      this.reset();
      for (const { id, name } of sources.registry.list())
        this.set({ service: id, name }, sources.catalogue.countOfService(id));
    },
  });
  new Gauge({
    name: "holdfast_endpoint_sessions",
    help: "Living sessions that an endpoint carries for a service.",
    labelNames: ["service", "endpoint"],
    registers,
    collect() {
      this.reset();
      for (const { service, endpoint } of endpoints())
        this.set({ service, endpoint }, sources.catalogue.countOfEndpoint(service, endpoint));
    },
  });
  new Gauge({
    name: "holdfast_endpoint_up",
    help: "1 when the endpoint answers probes, 0 when not; absent while unknown.",
    labelNames: ["service", "endpoint"],
    registers,
    collect() {
      this.reset();
      for (const { service, endpoint } of endpoints()) {
        const { health } = sources.endpointHealth(service, endpoint);
        if (health !== "unknown") this.set({ service, endpoint }, health === "up" ? 1 : 0);
      }
    },
  });
  new Gauge({
    name: "holdfast_endpoints_leaving",
    help: "Endpoints that left a service's list and still carry its associations.",
    labelNames: ["service"],
    registers,
    collect() {
      this.reset();
      for (const { id, leaving = [] } of sources.registry.list()) this.set({ service: id }, leaving.length);
    },
  });
  new Gauge({
    name: "holdfast_services_leaving",
    help: "Services that were deleted and have their grace, by kind: change (LoxiLB's clients) or drain.",
    labelNames: ["kind"],
    registers,
    collect() {
      const counts = { change: 0, drain: 0 };
      for (const { removal } of sources.registry.list()) if (removal !== undefined) counts[removal.mode]++;
      for (const kind of ["change", "drain"] as const) this.set({ kind }, counts[kind]);
    },
  });
  function* endpoints() {
    for (const { id, endpoints: list } of sources.registry.list())
      for (const { address, port } of list) yield { service: id, endpoint: endpointKey(address, port) };
  }

  const ends = new Counter({
    name: "holdfast_session_ends_total",
    help: "Sessions that ended, by cause, as this member learned of them.",
    labelNames: ["cause"],
    registers,
  });
  new Counter({
    name: "holdfast_events_total",
    help: "Events of the API's event stream.",
    registers,
    collect() {
      this.reset();
      this.inc(sources.events.count);
    },
  });
  const takeOvers = new Counter({
    name: "holdfast_takeovers_total",
    help: "VIPs that this member took over, by kind: death of the owner, or planned.",
    labelNames: ["kind"],
    registers,
  });
  const takeOverSeconds = new Histogram({
    name: "holdfast_takeover_duration_seconds",
    help: "From the last sign of a dead owner to the announcement by this member.",
    buckets: [0.025, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.5, 1, 2, 5],
    registers,
  });

  totalsCounter(
    "holdfast_fast_path_dropped_packets_total",
    "Packets that the fast path dropped.",
    "reason",
    () => withPrefix(sources.fastPathTotals(), "drop."),
  );
  totalsCounter(
    "holdfast_fast_path_punts_total",
    "Packets that the fast path gave to the slow path.",
    "reason",
    () => withPrefix(sources.fastPathTotals(), "punt."),
  );
  totalsCounter("holdfast_fast_path_events_total", "Other totals of the fast path.", "event", () =>
    [...sources.fastPathTotals()].filter(([name]) => !name.startsWith("drop.") && !name.startsWith("punt.")),
  );
  totalsCounter(
    "holdfast_slow_path_dropped_packets_total",
    "Packets that the slow path dropped.",
    "reason",
    () => [...sources.slowPathDrops()],
  );
  totalsCounter("holdfast_slow_path_events_total", "What the slow path did.", "event", () => [
    ...sources.slowPathEvents(),
  ]);

  new Gauge({
    name: "holdfast_slow_path_size",
    help: "How full the slow path's tables are: embryos, held packets, NAT ports; of TCP and UDP flows, and ports in percent.",
    labelNames: ["table"],
    registers,
    collect() {
      for (const [table, count] of sources.slowPathGauges()) this.set({ table }, count);
    },
  });

  /** A counter whose values are somebody else's totals. */
  function totalsCounter(
    name: string,
    help: string,
    label: string,
    read: () => readonly [string, number][],
  ): void {
    new Counter({
      name,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [key, value] of read()) this.inc({ [label]: key }, value);
      },
    });
  }

  // Asked once a scrape, by whichever of these comes first.
  let asked: Promise<ReplicationMetrics | undefined> | undefined;
  const replication = () => {
    asked ??= sources.replication().finally(() => {
      asked = undefined;
    });
    return asked;
  };
  peerGauge("holdfast_replication_peer_connected", "1 when the member is connected.", (peer) =>
    peer.connected ? 1 : 0,
  );
  peerGauge(
    "holdfast_replication_lag_seconds",
    "From the latest acknowledged change to its acknowledgement by the member.",
    (peer) => peer.lagMs / 1000,
  );
  peerGauge(
    "holdfast_replication_queue_bytes",
    "Bytes that wait to be sent to the member.",
    (peer) => peer.queuedBytes,
  );
  new Gauge({
    name: "holdfast_replication_state",
    help: "Counters and sizes of replication since the start, by name.",
    labelNames: ["name"],
    registers,
    async collect() {
      const found = await replication();
      this.reset();
      for (const [name, value] of Object.entries(found?.totals ?? {})) this.set({ name }, value);
    },
  });

  new Gauge({
    name: "holdfast_cluster_capability",
    help: "1 when every member offers it, so that what it stands for is written; 0: one does not, or was not heard yet.",
    labelNames: ["name"],
    registers,
    async collect() {
      const offered = (await replication())?.offered ?? CAPABILITIES;
      for (const name of CAPABILITIES) this.set({ name }, offered.includes(name) ? 1 : 0);
    },
  });

  /** Each reads for itself: what another one's collection set would be that of the scrape before. */
  function peerGauge(name: string, help: string, read: (peer: PeerMetrics) => number): void {
    new Gauge({
      name,
      help,
      labelNames: ["peer"],
      registers,
      async collect() {
        const found = await replication();
        this.reset();
        for (const peer of found?.peers ?? []) this.set({ peer: peer.member }, read(peer));
      },
    });
  }

  const delay = new LoopDelay();
  new Gauge({
    name: "holdfast_event_loop_delay_seconds",
    help: "How long turns of the main event loop took since the last scrape: what came meanwhile waited.",
    labelNames: ["quantile"],
    registers,
    collect() {
      for (const quantile of [...EVENT_LOOP_QUANTILES, 1])
        this.set({ quantile: String(quantile) }, delay.quantileMs(quantile) / 1e3);
      delay.reset();
    },
  });

  return {
    registry,
    takeOver(kind, durationMs) {
      takeOvers.inc({ kind });
      if (kind === "death" && durationMs !== undefined) takeOverSeconds.observe(durationMs / 1000);
    },
    sessionEnded: (cause) => ends.inc({ cause }),
    close() {
      delay.close();
      registry.clear();
    },
  };
}

function withPrefix(totals: Totals, prefix: string): readonly [string, number][] {
  return [...totals]
    .filter(([name]) => name.startsWith(prefix))
    .map(([name, value]) => [name.slice(prefix.length), value]);
}

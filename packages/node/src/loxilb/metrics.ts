// /metrics under LoxiLB's names, legacy and canonical, and its JSON views. What this node has no such thing
// of is left out or 0, never made up.

import { statfs } from "node:fs/promises";
import { cpus, freemem, loadavg, totalmem } from "node:os";
import type { FastifyInstance } from "fastify";
import { Counter, Gauge, Registry } from "prom-client";
import { endpointKey } from "../services/specification.ts";
import type { LoxilbContext } from "./context.ts";
import type { FigureKeeper, Figures } from "./figures.ts";
import { sendJson } from "./reply.ts";
import type { MetricsSwitch } from "./system.ts";

interface Snapshot {
  readonly active: number;
  readonly created: number;
  readonly inits: number;
  readonly drops: number;
  readonly rules: number;
  readonly healthy: number;
  readonly unhealthy: number;
  readonly figures: Figures;
  readonly ended: number;
}

export interface LoxilbTotals {
  /** Slow path events and drops by name. */
  events(): ReadonlyMap<string, number>;
  drops(): ReadonlyMap<string, number>;
}

export function metricRoutes(
  context: LoxilbContext,
  figures: FigureKeeper,
  enabled: MetricsSwitch,
  totals: LoxilbTotals,
) {
  const { sources, deletions } = context;
  const { registry, catalogue, table } = sources;

  async function snapshot(): Promise<Snapshot> {
    let healthy = 0;
    let unhealthy = 0;
    for (const service of registry.list())
      for (const { address, port } of service.endpoints) {
        if (sources.endpointHealth(service.id, endpointKey(address, port)).health === "down") unhealthy++;
        else healthy++;
      }
    const event = (name: string) => totals.events().get(name) ?? 0;
    const living = registry
      .list()
      .reduce((count, service) => count + catalogue.countOfService(service.id), 0);
    return {
      active: living,
      created: event("sessions-committed"),
      inits: event("inits"),
      drops: [...totals.drops().values()].reduce((sum, count) => sum + count, 0),
      rules: registry.list().filter((service) => !deletions.isDeleted(service)).length,
      healthy,
      unhealthy,
      figures: await figures.figures(),
      ended: event("sessions-ended"),
    };
  }

  /** `SERVICE REST` keys: the service's name and the rest. */
  function* split(map: Figures["byClient"]) {
    const names = new Map(registry.list().map((service) => [service.id, service.name]));
    for (const [key, traffic] of map) {
      const at = key.lastIndexOf(" ");
      yield { service: names.get(key.slice(0, at)) ?? key.slice(0, at), rest: key.slice(at + 1), traffic };
    }
  }

  async function text(): Promise<{ body: string; contentType: string }> {
    const now = await snapshot();
    const register = new Registry();
    const registers = [register];
    const gauge = (names: readonly string[], help: string, value: number) => {
      for (const name of names) new Gauge({ name, help, registers }).set(value);
    };
    const counter = (names: readonly string[], help: string, value: number) => {
      for (const name of names) new Counter({ name, help, registers }).inc(value);
    };
    const { total } = now.figures;
    gauge(["active_conntrack_count", "loxilb_active_conntrack_entries"], "Living sessions.", now.active);
    gauge(
      ["loxilb_conntrack_max_entries"],
      "Entries of the flow table; a session of a multi-homed service takes 4 to 8.",
      context.configuration().dataPlane.flowCountMax,
    );
    gauge(["active_flow_count_sctp", "loxilb_active_flow_count_sctp"], "Living SCTP sessions.", now.active);
    gauge(
      [
        "active_flow_count_tcp",
        "active_flow_count_udp",
        "loxilb_active_flow_count_tcp",
        "loxilb_active_flow_count_udp",
      ],
      "Not balanced by this node yet.",
      0,
    );
    gauge(
      ["inactive_flow_count"],
      "Ended sessions that are still remembered.",
      Math.max(0, table.size - now.active),
    );
    gauge(
      ["new_flow_count", "loxilb_new_flows"],
      "Sessions established at this member since its start.",
      now.created,
    );
    gauge(["lb_rule_count", "loxilb_lb_rules"], "Services.", now.rules);
    gauge(["healthy_host_count", "loxilb_healthy_endpoints"], "Endpoints that are not down.", now.healthy);
    gauge(["unhealthy_host_count", "loxilb_unhealthy_endpoints"], "Endpoints that are down.", now.unhealthy);
    gauge(["processed_bytes", "processed_sctp_bytes"], "Bytes of living sessions.", total.bytes);
    gauge(["processed_packets"], "Packets of living sessions.", total.packets);
    gauge(["processed_tcp_bytes", "processed_udp_bytes"], "Not balanced by this node yet.", 0);
    counter(
      ["loxilb_processed_bytes_total", "loxilb_processed_sctp_bytes_total"],
      "Bytes of living sessions.",
      total.bytes,
    );
    counter(
      ["loxilb_processed_packets_total", "loxilb_processed_sctp_packets_total"],
      "Packets of living sessions.",
      total.packets,
    );
    counter(["total_requests", "loxilb_requests_total"], "INITs that this member admitted.", now.inits);
    counter(["total_errors", "loxilb_errors_total"], "Packets that the slow path dropped.", now.drops);
    counter(["total_fw_drops", "loxilb_fw_drop_packets_total"], "There is no firewall in this node.", 0);
    gauge(["loxilb_firewall_rules"], "There is no firewall in this node.", 0);
    counter(["loxilb_closed_connections_processed_total"], "Sessions that ended at this member.", now.ended);
    const root = await statfs("/").catch(() => undefined);
    gauge(
      ["loxilb_system_cpu_utilization_percent"],
      "Load of the last minute per processor.",
      Math.min(100, ((loadavg()[0] ?? 0) / Math.max(1, cpus().length)) * 100),
    );
    gauge(["loxilb_system_memory_utilization_percent"], "Memory in use.", (1 - freemem() / totalmem()) * 100);
    if (root !== undefined && root.blocks > 0)
      gauge(
        ["loxilb_system_disk_utilization_percent"],
        "Root filesystem in use.",
        (1 - root.bfree / root.blocks) * 100,
      );

    const labelled = (name: string, help: string, labels: readonly string[]) =>
      new Counter({ name, help, labelNames: [...labels], registers });
    const serviceBytes = labelled(
      "loxilb_service_traffic_bytes_total",
      "Bytes of living sessions by service.",
      ["service"],
    );
    const servicePackets = labelled(
      "loxilb_service_traffic_packets_total",
      "Packets of living sessions by service.",
      ["service"],
    );
    const names = new Map(registry.list().map((service) => [service.id, service.name]));
    for (const [id, { packets, bytes }] of now.figures.byService) {
      serviceBytes.inc({ service: names.get(id) ?? id }, bytes);
      servicePackets.inc({ service: names.get(id) ?? id }, packets);
    }
    const endpointBytes = labelled(
      "loxilb_endpoint_traffic_bytes_total",
      "Bytes of living sessions by endpoint.",
      ["service", "dip"],
    );
    for (const { service, rest, traffic } of split(now.figures.byEndpoint))
      endpointBytes.inc({ service, dip: rest }, traffic.bytes);
    const clientPackets = labelled(
      "loxilb_client_traffic_packets_total",
      "Packets of living sessions by client.",
      ["service", "sip"],
    );
    for (const { service, rest, traffic } of split(now.figures.byClient))
      clientPackets.inc({ service, sip: rest }, traffic.packets);
    return { body: await register.metrics(), contentType: register.contentType };
  }

  const views: Readonly<Record<string, (now: Snapshot) => unknown>> = {
    flowcount: ({ active }) => ({
      activeFlowCountTcp: 0,
      activeFlowCountUdp: 0,
      activeFlowCountSctp: active,
      inactiveFlowCount: Math.max(0, table.size - active),
    }),
    hostcount: ({ healthy, unhealthy }) => ({ healthyHostCount: healthy, unHealthyHostCount: unhealthy }),
    lbrulecount: ({ rules }) => ({ lbRuleCount: rules }),
    newflowcount: ({ created }) => ({ newFlowCount: created }),
    requestcount: ({ inits }) => ({ totalRequests: inits }),
    errorcount: ({ drops }) => ({ totalErrors: drops }),
    processedtraffic: ({ figures: { total } }) => ({
      processedBytes: total.bytes,
      processedPackets: total.packets,
      processedSctpBytes: total.bytes,
    }),
    lbprocessedtraffic: ({ figures: now }) =>
      [...split(now.byEndpoint)].map(({ service, rest, traffic }) => ({ service, dip: rest, ...traffic })),
    epdisttraffic: ({ figures: now }) =>
      [...split(now.byEndpoint)].map(({ service, rest, traffic }) => ({
        service,
        dip: rest,
        bytes: traffic.bytes,
      })),
    servicedisttraffic: ({ figures: now }) =>
      [...now.byService].map(([service, traffic]) => ({ service, bytes: traffic.bytes })),
    fwdrops: () => ({ totalFwDrops: 0 }),
    reqcountperclient: ({ figures: now }) =>
      [...split(now.byClient)].map(({ service, rest, traffic }) => ({
        service,
        sip: rest,
        packets: traffic.packets,
      })),
  };

  return async (app: FastifyInstance) => {
    app.get("/metrics", async (_request, reply) => {
      if (!enabled.enabled)
        return reply.code(503).header("content-type", "text/plain").send("Prometheus option is disabled.");
      const { body, contentType } = await text();
      return reply.header("content-type", contentType).send(body);
    });
    app.get<{ Params: { view: string } }>("/metrics/:view", async (request, reply) => {
      const name = request.params.view.toLowerCase();
      const view = Object.hasOwn(views, name) ? views[name] : undefined;
      if (view === undefined) return reply.callNotFound();
      return sendJson(reply, 200, view(await snapshot()));
    });
  };
}

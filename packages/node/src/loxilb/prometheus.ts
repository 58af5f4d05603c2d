// LoxiLB's metrics as text, under its legacy and its canonical names.
import { statfs } from "node:fs/promises";
import { cpus, freemem, loadavg, totalmem } from "node:os";
import { Counter, Gauge, Registry } from "prom-client";
import type { Snapshot, Snapshots } from "./snapshot.ts";

/** Fills a registry that lives for one scrape. */
class Page {
  readonly registry = new Registry();

  gauge(names: readonly string[], help: string, value: number): void {
    for (const name of names) new Gauge({ name, help, registers: [this.registry] }).set(value);
  }

  counter(names: readonly string[], help: string, value: number): void {
    for (const name of names) new Counter({ name, help, registers: [this.registry] }).inc(value);
  }

  /** By labels. */
  rows(
    name: string,
    help: string,
    labelNames: string[],
    rows: Iterable<readonly [Record<string, string>, number]>,
  ): void {
    const counter = new Counter({ name, help, labelNames, registers: [this.registry] });
    for (const [labels, value] of rows) counter.inc(labels, value);
  }
}

/** `flowCountMax`: entries of the flow table. */
export async function prometheusText(
  now: Snapshot,
  snapshots: Snapshots,
  flowCountMax: number,
): Promise<{ body: string; contentType: string }> {
  const page = new Page();
  flows(page, now, flowCountMax);
  traffic(page, now);
  faults(page, now);
  await machine(page);
  shares(page, now, snapshots);
  return { body: await page.registry.metrics(), contentType: page.registry.contentType };
}

function flows(page: Page, now: Snapshot, flowCountMax: number): void {
  page.gauge(["active_conntrack_count", "loxilb_active_conntrack_entries"], "Living sessions.", now.active);
  page.gauge(
    ["loxilb_conntrack_max_entries"],
    "Entries of the flow table; a session of a multi-homed service takes 4 to 8.",
    flowCountMax,
  );
  for (const protocol of ["sctp", "tcp", "udp"] as const)
    page.gauge(
      [`active_flow_count_${protocol}`, `loxilb_active_flow_count_${protocol}`],
      `Living ${protocol.toUpperCase()} sessions.`,
      now[protocol].active,
    );
  page.gauge(["inactive_flow_count"], "Ended sessions that are still remembered.", now.inactive);
  page.gauge(
    ["new_flow_count", "loxilb_new_flows"],
    "Sessions established at this member since its start.",
    now.created,
  );
  page.gauge(["lb_rule_count", "loxilb_lb_rules"], "Services.", now.rules);
  page.gauge(["healthy_host_count", "loxilb_healthy_endpoints"], "Endpoints that are not down.", now.healthy);
  page.gauge(
    ["unhealthy_host_count", "loxilb_unhealthy_endpoints"],
    "Endpoints that are down.",
    now.unhealthy,
  );
}

function traffic(page: Page, now: Snapshot): void {
  const { total } = now.figures;
  page.gauge(["processed_bytes"], "Bytes of living sessions.", total.bytes);
  page.gauge(["processed_packets"], "Packets of living sessions.", total.packets);
  page.counter(["loxilb_processed_bytes_total"], "Bytes of living sessions.", total.bytes);
  page.counter(["loxilb_processed_packets_total"], "Packets of living sessions.", total.packets);
  for (const protocol of ["sctp", "tcp", "udp"] as const) {
    const whose = `living ${protocol.toUpperCase()} sessions.`;
    const { bytes, packets } = now[protocol];
    page.gauge([`processed_${protocol}_bytes`], `Bytes of ${whose}`, bytes);
    page.counter([`loxilb_processed_${protocol}_bytes_total`], `Bytes of ${whose}`, bytes);
    page.counter([`loxilb_processed_${protocol}_packets_total`], `Packets of ${whose}`, packets);
  }
}

function faults(page: Page, now: Snapshot): void {
  page.counter(["total_requests", "loxilb_requests_total"], "INITs that this member admitted.", now.inits);
  page.counter(["total_errors", "loxilb_errors_total"], "Packets that the slow path dropped.", now.drops);
  page.counter(["total_fw_drops", "loxilb_fw_drop_packets_total"], "There is no firewall in this node.", 0);
  page.gauge(["loxilb_firewall_rules"], "There is no firewall in this node.", 0);
  page.counter(
    ["loxilb_closed_connections_processed_total"],
    "Sessions that ended at this member.",
    now.ended,
  );
}

async function machine(page: Page): Promise<void> {
  const root = await statfs("/").catch(() => undefined);
  page.gauge(
    ["loxilb_system_cpu_utilization_percent"],
    "Load of the last minute per processor.",
    Math.min(100, ((loadavg()[0] ?? 0) / Math.max(1, cpus().length)) * 100),
  );
  page.gauge(
    ["loxilb_system_memory_utilization_percent"],
    "Memory in use.",
    (1 - freemem() / totalmem()) * 100,
  );
  if (root !== undefined && root.blocks > 0)
    page.gauge(
      ["loxilb_system_disk_utilization_percent"],
      "Root filesystem in use.",
      (1 - root.bfree / root.blocks) * 100,
    );
}

function shares(page: Page, { figures }: Snapshot, snapshots: Snapshots): void {
  const names = snapshots.serviceNames();
  const services = [...figures.byService].map(([id, each]) => ({ service: names.get(id) ?? id, each }));
  page.rows(
    "loxilb_service_traffic_bytes_total",
    "Bytes of living sessions by service.",
    ["service"],
    services.map(({ service, each }) => [{ service }, each.bytes]),
  );
  page.rows(
    "loxilb_service_traffic_packets_total",
    "Packets of living sessions by service.",
    ["service"],
    services.map(({ service, each }) => [{ service }, each.packets]),
  );
  page.rows(
    "loxilb_endpoint_traffic_bytes_total",
    "Bytes of living sessions by endpoint.",
    ["service", "dip"],
    [...snapshots.shares(figures.byEndpoint)].map((share) => [
      { service: share.service, dip: share.rest },
      share.traffic.bytes,
    ]),
  );
  page.rows(
    "loxilb_client_traffic_packets_total",
    "Packets of living sessions by client.",
    ["service", "sip"],
    [...snapshots.shares(figures.byClient)].map((share) => [
      { service: share.service, sip: share.rest },
      share.traffic.packets,
    ]),
  );
}

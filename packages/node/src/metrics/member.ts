// What the member itself is: its build, whether it may own VIPs, how it sees the others, certificate and disk.
import type { Registry } from "prom-client";
import { counter, gauge, type Row, single } from "./collected.ts";
import type { MetricSources } from "./sources.ts";

export function buildMetrics(registers: Registry[], sources: MetricSources): void {
  gauge(
    registers,
    {
      name: "holdfast_build_info",
      help: "Version of Holdfast and mode of the fast path; always 1.",
      labels: ["version", "member", "fast_path"],
    },
    () => [[{ version: sources.version, member: sources.member, fast_path: sources.fastPathMode() }, 1]],
  );
}

export function memberMetrics(registers: Registry[], sources: MetricSources): void {
  gauge(registers, { name: "holdfast_ready", help: "1 when this member may own VIPs." }, () =>
    single(sources.ready() ? 1 : 0),
  );
  gauge(registers, { name: "holdfast_vips_owned", help: "VIPs that this member owns." }, () =>
    single(sources.ownedVipCount()),
  );
  counter(
    registers,
    {
      name: "holdfast_probes_refused_total",
      help: "Datagrams at the probe port that were not believed, by reason.",
      labels: ["reason"],
    },
    () => Object.entries(sources.probesRefused()).map(([reason, count]): Row => [{ reason }, count ?? 0]),
  );
  gauge(
    registers,
    {
      name: "holdfast_vip_clashes",
      help: "VIPs that are the address of a member's interface, a gateway's or a network's broadcast address; served: whether this member serves it all the same.",
      labels: ["vip", "served"],
    },
    () =>
      [...sources.vipClashes()].map(
        ([vip, { servedHere }]): Row => [{ vip, served: servedHere ? "yes" : "no" }, 1],
      ),
  );
}

export function clusterMetrics(registers: Registry[], sources: MetricSources): void {
  gauge(
    registers,
    {
      name: "holdfast_members",
      help: "Members of the cluster by state, as this one sees them.",
      labels: ["state"],
    },
    () => {
      const [alive, configured] = [sources.membersAlive(), sources.membersConfigured()];
      return [
        [{ state: "alive" }, alive],
        [{ state: "missing" }, Math.max(0, configured - alive)],
      ];
    },
  );
  gauge(
    registers,
    {
      name: "holdfast_certificate_end_seconds",
      help: "Unix time at which this member's certificate, or the authority that signed it, ends.",
      labels: ["certificate"],
    },
    () => {
      const found = sources.certificate();
      if (found === undefined) return [];
      return [
        [{ certificate: "member" }, found.notAfterMs / 1000],
        [{ certificate: "authority" }, found.authorityNotAfterMs / 1000],
      ];
    },
  );
  gauge(
    registers,
    {
      name: "holdfast_store_writable",
      help: "0 while the store's disk takes nothing: it is full, failing or read-only. 1 also without a store.",
    },
    () => single(sources.disk().failure === undefined ? 1 : 0),
  );
  gauge(
    registers,
    {
      name: "holdfast_store_broken_files",
      help: "Files of the store that could not be read and were put aside under NAME.broken-TIME.",
    },
    () => single(sources.disk().brokenCount),
  );
}

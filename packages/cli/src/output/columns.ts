// Which columns each table has.
import type {
  EndpointView,
  LeavingEndpointView,
  MemberView,
  RouterView,
  ServiceView,
  SessionSummary,
  TakeOver,
  VipView,
} from "@holdfast/api";
import { ageText, type Column } from "./table.ts";

const endpointText = (endpoint: Pick<EndpointView, "address" | "port">) =>
  `${endpoint.address.includes(":") ? `[${endpoint.address}]` : endpoint.address}:${endpoint.port}`;

/** What endpoints are asked with when nobody says. */
const CHECK_DEFAULTS: Readonly<Record<ServiceView["protocol"], string>> = {
  sctp: "sctp",
  tcp: "tcp",
  udp: "ping",
};

/** As `--health-check` takes it. */
const checkText = (check: ServiceView["healthCheck"], protocol: ServiceView["protocol"]) =>
  check === undefined
    ? CHECK_DEFAULTS[protocol]
    : `${check.kind}${check.port === undefined ? "" : `:${check.port}`}${check.path ?? ""}`;

/** As `--idle-timeout` takes it, and of tcp and udp as `--idle` does. */
const idleText = ({ idle, idleTimeoutS }: ServiceView) =>
  idle === undefined
    ? `${idleTimeoutS}s`
    : Object.entries(idle)
        .map(([name, seconds]) => `${name.slice(0, -1)}=${seconds}`)
        .join(",");

export const SERVICE_COLUMNS: readonly Column<ServiceView>[] = [
  { title: "ID", cell: (s) => s.id },
  { title: "NAME", cell: (s) => (s.name === s.id ? "-" : s.name) },
  { title: "VIPS", cell: (s) => s.vips.join(",") },
  { title: "ENDPOINTS", cell: (s) => s.endpoints.length, right: true },
  { title: "UP", cell: (s) => s.endpoints.filter((e) => e.health === "up").length, right: true },
  { title: "SESSIONS", cell: (s) => s.sessions, right: true },
  { title: "SELECTION", cell: (s) => s.selection, wide: true },
  { title: "IDLE", cell: idleText, wide: true, right: true },
  { title: "FROM", cell: (s) => s.allowedSources?.join(",") || "anywhere", wide: true },
  { title: "MANAGED BY", cell: (s) => s.managedBy, wide: true },
  { title: "ENDS", cell: (s) => s.removal && `${s.removal.mode} ${s.removal.leftS}s`, wide: true },
  { title: "REVISION", cell: (s) => s.revision, wide: true },
  {
    title: "NOTES",
    cell: (s) =>
      [...(s.refused === undefined ? [] : [s.refused]), ...s.warnings].map((n) => n.code).join(","),
    wide: true,
  },
];

export interface EndpointRow {
  readonly service: ServiceView;
  /** In the list, or leaving it. */
  readonly endpoint: EndpointView | LeavingEndpointView;
}

/** Endpoints in the list, then those that leave it. */
export function endpointRows(service: ServiceView): EndpointRow[] {
  return [...service.endpoints, ...service.leaving].map((endpoint) => ({ service, endpoint }));
}

/** Of an endpoint that is in the list. */
const listed = ({ endpoint }: EndpointRow): EndpointView | undefined =>
  "state" in endpoint ? endpoint : undefined;

const unprovenText = (endpoint: EndpointView | undefined): string | undefined =>
  endpoint?.unproven?.map(({ vip, reason }) => `${vip}: ${reason}`).join("; ");

function stateOf({ endpoint }: EndpointRow): string {
  return "state" in endpoint ? endpoint.state : `leaving ${endpoint.leftS}s`;
}

export const ENDPOINT_COLUMNS: readonly Column<EndpointRow>[] = [
  { title: "SERVICE", cell: (r) => r.service.id },
  { title: "ENDPOINT", cell: (r) => endpointText(r.endpoint) },
  { title: "WEIGHT", cell: (r) => listed(r)?.weight, right: true },
  { title: "STATE", cell: stateOf },
  {
    title: "HEALTH",
    cell: (r) => (listed(r)?.unproven === undefined ? r.endpoint.health : `${r.endpoint.health} unproven`),
  },
  { title: "SESSIONS", cell: (r) => r.endpoint.sessions, right: true },
  { title: "REASON", cell: (r) => listed(r)?.reason ?? unprovenText(listed(r)) },
  {
    title: "CHECK",
    cell: (r) => checkText(listed(r)?.healthCheck ?? r.service.healthCheck, r.service.protocol),
    wide: true,
  },
  {
    title: "ADDRESSES",
    cell: (r) =>
      listed(r)
        ?.addressHealth?.map(({ address, health }) => `${address} ${health}`)
        .join(","),
    wide: true,
  },
  { title: "SAME SERVER", cell: (r) => listed(r)?.sameServerAs?.join(","), wide: true },
];

export function sessionColumns(nowMs: number): readonly Column<SessionSummary>[] {
  return [
    { title: "ID", cell: (s) => s.id },
    { title: "SERVICE", cell: (s) => s.serviceName },
    { title: "PHASE", cell: (s) => (s.pending ? `${s.phase}+restart` : s.phase) },
    {
      title: "CLIENT",
      cell: (s) => `${s.clients[0] ?? "-"}${s.clients.length > 1 ? ` +${s.clients.length - 1}` : ""}`,
    },
    { title: "PORT", cell: (s) => s.clientPort, right: true },
    { title: "ENDPOINT", cell: (s) => s.endpoint },
    { title: "NAT", cell: (s) => s.natPort, right: true },
    { title: "MEMBER", cell: (s) => s.member },
    { title: "AGE", cell: (s) => ageText(s.createdAt, nowMs), right: true },
    { title: "PROTOCOL", cell: (s) => s.protocol, wide: true },
    { title: "CLIENTS", cell: (s) => s.clients.join(","), wide: true },
    { title: "ENDED", cell: (s) => s.ended, wide: true },
  ];
}

/** What the operator must know stands where the interfaces would. */
function announcedText({ announcements, clash }: VipView): string {
  const on = announcements.map((a) => a.interface).join(",");
  if (clash === undefined) return on;
  const where = clash.interface === "" ? clash.member : `${clash.member}/${clash.interface}`;
  return clash.servedHere ? `${on} (clash: ${where})` : `no: clash with ${where}`;
}

export const VIP_COLUMNS: readonly Column<VipView>[] = [
  { title: "VIP", cell: (v) => v.vip },
  { title: "OWNER", cell: (v) => v.owner },
  {
    title: "SUCCESSORS",
    cell: (v) => v.candidates.filter((candidate) => candidate !== v.owner).join(","),
  },
  { title: "PINNED TO", cell: (v) => v.pin },
  { title: "ANNOUNCED HERE", cell: announcedText },
  { title: "SERVICES", cell: (v) => v.services.join(","), wide: true },
  {
    title: "WHY",
    cell: (v) => [...(v.clash === undefined ? [] : [v.clash.message]), ...v.reasons].join("; "),
    wide: true,
  },
];

const milliseconds = (ms: number | undefined) => (ms === undefined ? undefined : `${Math.round(ms)} ms`);

export const TAKE_OVER_COLUMNS: readonly Column<TakeOver>[] = [
  { title: "AT", cell: (t) => t.at },
  { title: "VIP", cell: (t) => t.vip },
  { title: "FROM", cell: (t) => t.from },
  { title: "TO", cell: (t) => t.to },
  { title: "CAUSE", cell: (t) => t.cause },
  { title: "VERDICT", cell: (t) => milliseconds(t.verdictMs), right: true },
  { title: "ANNOUNCED", cell: (t) => milliseconds(t.announcedMs), right: true },
  { title: "FIRST PACKET", cell: (t) => milliseconds(t.firstPacketMs), right: true },
  { title: "SESSIONS", cell: (t) => t.sessions, right: true },
];

export const ROUTER_COLUMNS: readonly Column<RouterView>[] = [
  { title: "NAME", cell: (r) => r.name },
  { title: "ADDRESS", cell: (r) => r.address },
  { title: "AS", cell: (r) => r.as, right: true },
  { title: "SESSION", cell: (r) => r.session },
  { title: "BFD", cell: (r) => r.bfd },
  { title: "SINCE", cell: (r) => r.since },
  { title: "FLAPS", cell: (r) => r.flaps, right: true },
  { title: "SENT", cell: (r) => r.routes.filter(({ sent }) => sent).length, right: true },
  { title: "LOCAL AS", cell: (r) => r.localAs, right: true, wide: true },
  { title: "TOLD", cell: (r) => r.routes.map(routeText).join("; "), wide: true },
  { title: "INFO", cell: (r) => r.info, wide: true },
];

/** "203.0.113.1 med 10 prepend 0 65001:1 (this member owns it)" */
function routeText(route: RouterView["routes"][number]): string {
  const { vip, med, prepend, localPref, communities, reason } = route;
  const parts = [
    ...(med === undefined ? [] : [`med ${med}`]),
    ...(prepend === undefined ? [] : [`prepend ${prepend}`]),
    ...(localPref === undefined ? [] : [`local-pref ${localPref}`]),
    ...(communities ?? []),
  ];
  return `${[vip, ...parts].join(" ")} (${reason})`;
}

export const MEMBER_COLUMNS: readonly Column<MemberView>[] = [
  { title: "NAME", cell: (m) => (m.self ? `${m.name} *` : m.name) },
  { title: "NUMBER", cell: (m) => m.number, right: true },
  { title: "ZONE", cell: (m) => m.zone },
  { title: "PHASE", cell: (m) => m.phase },
  { title: "READY", cell: (m) => (m.ready ? "yes" : "no") },
  { title: "DRAINING", cell: (m) => (m.draining ? "yes" : "no") },
  { title: "VIPS", cell: (m) => m.vips.length, right: true },
  { title: "SESSIONS", cell: (m) => m.sessions, right: true },
  { title: "LAG", cell: (m) => (m.lagMs === undefined ? undefined : `${m.lagMs.toFixed(1)}ms`), right: true },
  { title: "QUEUE", cell: (m) => m.queue, right: true, wide: true },
  { title: "OWNS", cell: (m) => m.vips.join(","), wide: true },
  { title: "CAPABILITIES", cell: (m) => m.capabilities?.join(","), wide: true },
  { title: "ADDRESSES", cell: (m) => m.addresses.join(","), wide: true },
  { title: "REASON", cell: (m) => m.reason, wide: true },
];

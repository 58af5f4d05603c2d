// What an engineer should look at now, and what to do: rules over the picture of the cluster. Pure. Alerts
// over time (rates, durations) are Prometheus's: deploy/observation/alerts.yaml.
import { ALERT_SEVERITIES, type Alert, type ClusterMember, type ClusterPicture } from "@holdfast/api";

type Picture = Omit<ClusterPicture, "alerts">;

/** INIT-ACKs are let go before another member holds the session. */
const LAG_HIGH_MS = 500;
/** Newcomers soon find no port. */
const NAT_PORT_SHARE_HIGH = 0.8;

/** The worst first. */
export function alertsOf(picture: Picture): Alert[] {
  const found = [
    ...picture.members.flatMap((member) => memberAlerts(member, picture.members)),
    ...vipAlerts(picture),
    ...picture.services.flatMap(serviceAlerts),
  ];
  const rank = ({ severity }: Alert) => ALERT_SEVERITIES.indexOf(severity);
  return found.sort((a, b) => rank(a) - rank(b) || (a.subject < b.subject ? -1 : 1));
}

const isMissing = ({ phase }: ClusterMember) => phase === "dead" || phase === "unknown";

function memberAlerts(member: ClusterMember, all: readonly ClusterMember[]): Alert[] {
  const { name, ready, reason, report } = member;
  const at = { subject: name };
  if (isMissing(member))
    return [
      {
        ...at,
        code: "member-missing",
        severity: "critical",
        message: `Member ${name} is missing${reason === undefined ? "" : `: ${reason}`}.`,
        remedy: "The next death costs more. Start it, or look at its machine and its networks.",
      },
    ];
  const alerts: Alert[] = [];
  if (!ready)
    alerts.push({
      ...at,
      code: "member-not-ready",
      severity: "warning",
      message: `Member ${name} may own no VIP: ${reason ?? report?.failing.find((check) => check.required)?.detail ?? "it is not ready"}.`,
      remedy: `Run 'holdfast diagnose' on ${name}.`,
    });
  if (member.draining)
    alerts.push({
      ...at,
      code: "member-drained",
      severity: "info",
      message: `Member ${name} drains: it owns nothing until that is taken back.`,
      remedy: `When the work on it is done: holdfast undrain member ${name}.`,
    });
  for (const check of report?.failing ?? [])
    if (!check.required)
      alerts.push({
        ...at,
        code: `check-${check.name}`,
        severity: check.name === "store" ? "critical" : "warning",
        message: `${name}, ${check.name}: ${check.detail}.`,
        remedy: `Run 'holdfast diagnose' on ${name}.`,
      });
  for (const peer of report?.peers ?? []) {
    // Of a member that is missing that says all.
    const other = all.find((each) => each.name === peer.member);
    if (other !== undefined && !isMissing(other)) alerts.push(...replicationAlerts(name, peer));
  }
  for (const router of report?.routers ?? [])
    if (router.session !== "Established" || router.bfd === "Down")
      alerts.push({
        subject: router.name,
        code: "router-down",
        severity: "critical",
        message:
          router.session === "Established"
            ? `BFD with router ${router.name} of ${name} is down: nobody watches the session.`
            : `Router ${router.name} of ${name} has no session (${router.session})${router.info === "" ? "" : `: ${router.info}`}.`,
        remedy: "The router sends this member nothing. See its neighbour configuration, and docs/routers.md.",
      });
  return alerts;
}

function replicationAlerts(
  name: string,
  peer: NonNullable<ClusterMember["report"]>["peers"][number],
): Alert[] {
  const subject = `${name} → ${peer.member}`;
  if (!peer.connected)
    return [
      {
        subject,
        code: "replication-disconnected",
        severity: "warning",
        message: `${name} does not replicate to ${peer.member}.`,
        remedy: "Sessions made now are lost to that one until it returns: look at the cluster network.",
      },
    ];
  // The lag is of what was sent last: with nothing that waits it may be an old one.
  if (peer.lagMs <= LAG_HIGH_MS || peer.queue === 0) return [];
  return [
    {
      subject,
      code: "replication-lag",
      severity: "warning",
      message: `${peer.member} is ${Math.round(peer.lagMs)} ms behind ${name}.`,
      remedy: "INIT-ACKs go before another member holds the session: look at its load and the network.",
    },
  ];
}

function vipAlerts({ vips }: Picture): Alert[] {
  const alerts: Alert[] = [];
  for (const { vip, owner, clash, reasons, announcements } of vips) {
    if (owner === undefined)
      alerts.push({
        subject: vip,
        code: "vip-unowned",
        severity: "critical",
        message: `Nobody owns VIP ${vip}${reasons[0] === undefined ? "" : `: ${reasons.join("; ")}`}.`,
        remedy: "Clients cannot reach it. Make one of the members ready that the reasons name.",
      });
    if (clash !== undefined)
      alerts.push({
        subject: vip,
        code: "vip-clash",
        severity: "critical",
        message: clash.message,
        remedy: "Take the address off that interface, or give the service another VIP.",
      });
    for (const { member, interface: place, trouble } of announcements)
      if (trouble !== undefined && member === owner)
        alerts.push({
          subject: vip,
          code: "vip-trouble",
          severity: "critical",
          message: `VIP ${vip} leads no traffic to its owner ${member} at ${place}: ${trouble}.`,
          remedy: `Run 'holdfast diagnose' on ${member}.`,
        });
  }
  return alerts;
}

function serviceAlerts({ id, name, endpoints, refused }: Picture["services"][number]): Alert[] {
  const title = name === "" ? id : name;
  const alerts: Alert[] = [];
  if (refused !== undefined)
    alerts.push({
      subject: title,
      code: "service-refused",
      severity: "critical",
      message: `Service ${title} is not served: ${refused}`,
      remedy: "Correct the service; 'holdfast get services -o wide' says what is wrong.",
    });
  const down = endpoints.filter(({ health }) => health === "down");
  for (const { endpoint, reason } of down)
    alerts.push({
      subject: endpoint,
      code: "endpoint-down",
      severity: "warning",
      message: `Endpoint ${endpoint} of ${title} is down: ${reason ?? "no answer"}.`,
      remedy: "New associations go elsewhere. Look at the server.",
    });
  for (const { endpoint, unproven } of endpoints)
    if (unproven !== undefined)
      alerts.push({
        subject: endpoint,
        code: "endpoint-unproven",
        severity: "warning",
        message: `Endpoint ${endpoint} of ${title} answers probes, and VIPs may not reach it: ${unproven}.`,
        remedy: "It is used all the same. Look at routes back to the VIP, rp_filter and policies there.",
      });
  if (endpoints.length > 0 && down.length === endpoints.length)
    alerts.push({
      subject: title,
      code: "service-down",
      severity: "critical",
      message: `No endpoint of ${title} is up.`,
      remedy: "Nobody can begin an association: look at the servers, and at the core network.",
    });
  for (const { endpoint, natPortShare } of endpoints)
    if (natPortShare > NAT_PORT_SHARE_HIGH)
      alerts.push({
        subject: endpoint,
        code: "nat-ports-scarce",
        severity: "warning",
        message: `${Math.round(natPortShare * 100)} % of the NAT ports toward ${endpoint} are in use.`,
        remedy: "Add endpoints, or members with further numbers.",
      });
  return alerts;
}

// Checks of the cluster through the API: what a member says about itself and the others.
import { type ApiClient, ApiError, type ServiceView, UNREACHABLE } from "@holdfast/api";
import { endpointKey } from "../services/specification.ts";
import { dataPlaneFindings, hostFindings } from "./data-plane.ts";
import type { DiagnoseFinding } from "./findings.ts";
import { routerFindings } from "./routers.ts";
import { wayFindings } from "./ways.ts";

/** Replication lag above this is worth a look, ms. */
const LAG_WARNING_MS = 100;

/** By check that readiness does not need. */
const ADVICE: Readonly<Record<string, string>> = {
  fastPath:
    "It works, slower, and in userspace it stops with the daemon. docs/operating.md, Kernels and interfaces; or say dataPlane.mode to have what is.",
  store: "Make room on the store's disk or replace it; until then a restart of all members may lose changes.",
  certificate:
    "holdfast certificates issue NAME, and put certificate and key in their place: the member takes them without a restart.",
};

/** What is being taken away, and what two changes that were made at once gave to somebody else. */
function removalsOf({ id, sessions, removal, leaving, withheld }: ServiceView): DiagnoseFinding[] {
  const findings: DiagnoseFinding[] = [];
  if (removal !== undefined)
    findings.push({
      subject: id,
      level: "warn",
      detail: `It was deleted and ends in ${removal.leftS} s, with its ${sessions} associations.`,
      remedy: "Create it again to keep it.",
    });
  const carried = leaving.reduce((sum, endpoint) => sum + endpoint.sessions, 0);
  if (carried > 0)
    findings.push({
      subject: id,
      level: "warn",
      detail: `${carried} associations are at ${leaving.length} endpoints that left its list, ${leaving.map(({ address, leftS }) => `${address} for ${leftS} s`).join(", ")}.`,
      remedy: "Put an endpoint back to keep its associations.",
    });
  for (const { vip, by } of withheld)
    findings.push({
      subject: id,
      level: "fail",
      detail: `Its VIP ${vip} belongs to ${by}: two changes were made at once.`,
      remedy: "Take it from one of them.",
    });
  return findings;
}

export async function diagnoseCluster(client: ApiClient): Promise<DiagnoseFinding[]> {
  try {
    const [status, health, members, vips, services, routers] = await Promise.all([
      client.status(),
      client.ready(),
      client.listMembers(),
      client.listVips(),
      client.listServices(),
      client.listRouters(),
    ]);
    const findings: DiagnoseFinding[] = [
      {
        subject: "node",
        level: "ok",
        detail: `Member ${status.member} of ${status.cluster} runs, ${status.fastPath}, ${status.sessions} sessions.`,
      },
    ];
    findings.push(...dataPlaneFindings(status.dataPlane), ...hostFindings(status.host));
    for (const { name, ok, required, detail } of health.checks)
      if (!ok && name !== "host")
        findings.push(
          required
            ? {
                subject: `ready: ${name}`,
                level: "fail",
                detail,
                remedy: "See docs/operating.md, not ready.",
              }
            : { subject: name, level: "fail", detail, remedy: ADVICE[name] ?? "See docs/operating.md." },
        );
    for (const member of members) {
      const subject = `member ${member.name}`;
      if (member.phase !== "alive")
        findings.push({
          subject,
          level: "fail",
          detail: `It is ${member.phase}${member.reason !== undefined ? `: ${member.reason}` : ""}.`,
          remedy: `Is it running? Can it be reached at ${member.addresses.join(", ") || "its addresses"} (UDP probes and TCP replication)?`,
        });
      else if (!member.ready && !member.self)
        findings.push({
          subject,
          level: "warn",
          detail: `It is alive but not ready${member.reason !== undefined ? `: ${member.reason}` : ""}.`,
          remedy: `Run 'holdfast diagnose' there.`,
        });
      else if (member.draining)
        findings.push({
          subject,
          level: "warn",
          detail: "It drains: it owns no VIP.",
          remedy: `holdfast undrain member ${member.name}`,
        });
      else if ((member.lagMs ?? 0) > LAG_WARNING_MS)
        findings.push({
          subject,
          level: "warn",
          detail: `What this member writes reaches it after ${member.lagMs?.toFixed(0)} ms.`,
          remedy: "Look at its CPU and at the cluster network.",
        });
      else findings.push({ subject, level: "ok", detail: `Alive${member.ready ? " and ready" : ""}.` });
    }
    for (const vip of vips)
      if (vip.owner === undefined)
        findings.push({
          subject: `VIP ${vip.vip}`,
          level: "fail",
          detail: `Nobody owns it: ${vip.reasons.join("; ") || "no reason is known"}.`,
          remedy: "Bring a member back, undrain one, or look at coordinator.minimumMembers.",
        });
    for (const { vip, clash } of vips)
      if (clash !== undefined)
        findings.push({
          subject: `VIP ${vip}`,
          level: clash.servedHere ? "warn" : "fail",
          detail: clash.message,
          remedy:
            clash.code === "VIP_IS_MEMBER_ADDRESS"
              ? `Take it off that interface ('ip addr del' at ${clash.member}), or give the service another VIP.`
              : "Give the service another VIP.",
        });
    findings.push(...routerFindings(routers, vips, status.member));
    for (const service of services) {
      const { id, refused, warnings } = service;
      if (refused !== undefined)
        findings.push({ subject: id, level: "fail", detail: refused.message, remedy: refused.remedy });
      for (const { message, remedy } of warnings)
        findings.push({ subject: id, level: "warn", detail: message, remedy });
      findings.push(...removalsOf(service), ...wayFindings(service));
      const down = service.endpoints.filter((endpoint) => endpoint.health === "down");
      if (service.endpoints.length === 0)
        findings.push({
          subject: service.id,
          level: "fail",
          detail: "It has no endpoint: every INIT is dropped.",
          remedy: "Add one.",
        });
      else if (down.length > 0)
        findings.push({
          subject: service.id,
          level: down.length === service.endpoints.length ? "fail" : "warn",
          detail: `${down.length} of ${service.endpoints.length} endpoints are down: ${down.map((e) => `${e.address} (${e.reason ?? "no answer"})`).join(", ")}.`,
          remedy: "Is the server listening? Is there a route, and back through the VIP's owner?",
        });
      for (const { address, port, sameServerAs } of service.endpoints) {
        // Said once, at the first of them.
        if (sameServerAs === undefined || sameServerAs.some((other) => other < endpointKey(address, port)))
          continue;
        findings.push({
          subject: service.id,
          level: "warn",
          detail: `Endpoints ${[endpointKey(address, port), ...sameServerAs].join(" and ")} are one server: they list each other. They are counted and judged as one.`,
          remedy: "Write one endpoint with all of its addresses: endpoints[].addresses.",
        });
      }
    }
    return findings;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return [
      {
        subject: "node",
        level: error.code === UNREACHABLE ? "warn" : "fail",
        detail: error.message,
        remedy: error.remedy,
      },
    ];
  }
}

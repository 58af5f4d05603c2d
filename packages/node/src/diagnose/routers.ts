// What is silent between a member and its routers unless somebody says it. Pure.
import type { RouterView, VipView } from "@holdfast/api";
import type { DiagnoseFinding } from "./findings.ts";

export function routerFindings(
  routers: readonly RouterView[],
  vips: readonly VipView[],
  member: string,
): DiagnoseFinding[] {
  const findings: DiagnoseFinding[] = [];
  for (const router of routers) findings.push(...sessionFindings(router), ...warningFindings(router));
  if (routers.length > 0)
    for (const { vip, owner, announcements } of vips) {
      if (owner !== member) continue;
      const trouble = announcements.find((announcement) => announcement.trouble !== undefined)?.trouble;
      if (trouble !== undefined)
        findings.push({
          subject: `VIP ${vip}`,
          level: "fail",
          detail: `This member owns it, and leads no traffic here: ${trouble}.`,
          remedy: "holdfast get routers -o wide",
        });
    }
  return findings;
}

function sessionFindings({ name, session, bfd, info, flaps, address }: RouterView): DiagnoseFinding[] {
  const subject = `router ${name}`;
  if (session !== "Established")
    return [
      {
        subject,
        level: "fail",
        detail: `The session is ${session}${info === "" ? "" : `: ${info}`}.`,
        remedy: `Is ${address} reachable on TCP port 179, and does it expect this member, with this AS and password? A wrong password is silent at both ends.`,
      },
    ];
  if (bfd !== undefined && bfd !== "Up")
    return [
      {
        subject,
        level: "warn",
        detail: `The session is up and BFD is ${bfd}: nobody watches it, and a death is seen after the hold time only.`,
        remedy:
          "Is BFD configured at the router, and do UDP ports 3784 and 4784 pass both ways? Some drop source ports below 49152: see net.ipv4.ip_local_port_range.",
      },
    ];
  return [
    {
      subject,
      level: "ok",
      detail: `Established${bfd === undefined ? ", without BFD" : ", BFD up"}${flaps > 0 ? `, lost ${flaps} times since the start` : ""}.`,
    },
  ];
}

function warningFindings({ name, warnings }: RouterView): DiagnoseFinding[] {
  return warnings.map(({ code, message, remedy }) => ({
    subject: `router ${name}`,
    level: "warn",
    detail: `${message} (${code})`,
    remedy,
  }));
}

// What is silent between a member and its routers unless somebody says it. Pure.
import type { RouterView, VipView } from "@holdfast/api";
import type { DiagnoseFinding } from "./findings.ts";

export function routerFindings(
  routers: readonly RouterView[],
  vips: readonly VipView[],
  member: string,
): DiagnoseFinding[] {
  const findings: DiagnoseFinding[] = [];
  for (const router of routers) findings.push(...sessionFindings(router), ...attributeFindings(router));
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
  // Without always-compare, MED says nothing between routes from neighbours of different AS.
  const localAs = new Set(routers.map((router) => router.localAs));
  if (localAs.size > 1)
    findings.push({
      subject: "routers",
      level: "warn",
      detail: `This member has several AS (${[...localAs].join(", ")}): a router compares MED only between routes of one neighbour AS.`,
      remedy:
        "Use the same localAs at all members, or 'always-compare-med' at the router; the prepended path still ranks them.",
    });
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

function attributeFindings({ name, as, localAs, routes }: RouterView): DiagnoseFinding[] {
  if (as === localAs || !routes.some(({ localPref }) => localPref !== undefined)) return [];
  return [
    {
      subject: `router ${name}`,
      level: "warn",
      detail: `localPref is set for a router of another AS (${as}): it is not sent.`,
      remedy: "Use med and prepend toward other AS.",
    },
  ];
}

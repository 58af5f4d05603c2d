// What the fast path says about itself and its interfaces.
import type { DataPlaneStatus, HostStatus } from "@holdfast/api";
import type { DiagnoseFinding } from "./findings.ts";

export function dataPlaneFindings({ interfaces, viaTc }: DataPlaneStatus): DiagnoseFinding[] {
  const findings = interfaces.flatMap(({ name, programsBefore = 0 }): DiagnoseFinding[] =>
    programsBefore === 0
      ? []
      : [
          {
            subject: `interface ${name}`,
            level: "warn",
            detail: `${programsBefore} TC program${programsBefore === 1 ? "" : "s"} of others see its packets before the fast path: what one of them takes, or passes on with TC_ACT_OK, never gets here.`,
            remedy: `bpftool net show dev ${name} names them. A restart of the daemon goes in front again.`,
          },
        ],
  );
  const ways = new Map<string, string[]>();
  for (const { from, to } of viaTc) ways.set(to, [...(ways.get(to) ?? []), from]);
  for (const [to, from] of ways)
    findings.push({
      subject: `interface ${to}`,
      level: "ok",
      detail: `XDP cannot send to it: what comes in by ${from.join(", ")} and leaves by it goes by TC.`,
    });
  return findings;
}

/** What the member made of its host, and what is in its way there. */
export function hostFindings(host: HostStatus | undefined): DiagnoseFinding[] {
  if (host === undefined) return [];
  const { loop, identityNat, warnings } = host;
  const parts = [
    ...(loop === undefined ? [] : [`${loop.vips} VIPs are routed to ${loop.interface}`]),
    ...(identityNat === undefined
      ? []
      : [`${identityNat.vips} VIPs are exempt from NAT by table ${identityNat.table}`]),
  ];
  return [
    ...(parts.length === 0
      ? []
      : [{ subject: "host", level: "ok" as const, detail: `${parts.join(", ")}.` }]),
    ...warnings.map(
      ({ code, message, remedy }): DiagnoseFinding => ({
        subject: "host",
        level: "warn",
        detail: `${code}: ${message}`,
        remedy,
      }),
    ),
  ];
}

// One session as a person reads it.
import type { SessionDetail } from "@holdfast/api";
import { bytesText, renderTable } from "./table.ts";

export function sessionText(session: SessionDetail): string {
  const lines: string[] = [];
  const put = (name: string, value: string | number | undefined) => {
    if (value !== undefined) lines.push(`${`${name}:`.padEnd(12)}${value}`);
  };
  put("session", session.id);
  put(
    "service",
    session.serviceName === session.service ? session.service : `${session.serviceName} (${session.service})`,
  );
  if (session.bodyUnderstood === false)
    put("body", `not understood: ${session.protocol} is a protocol of a later release, carried for others`);
  put("phase", session.pending ? `${session.phase}, a restart is unproven` : session.phase);
  put(
    "client",
    session.clientAddresses.map((c) => `${c.address}${c.verified ? "" : " (unverified)"}`).join(", "),
  );
  put("port", session.clientPort);
  put("endpoint", session.endpoint);
  put(
    "NAT port",
    session.natPort === undefined ? undefined : `${session.natPort}, a slot of ${session.member}`,
  );
  put("created", session.createdAt);
  if (session.end !== undefined)
    put(
      "ended",
      `${session.end.cause} in phase ${session.end.phaseSeen}${session.end.absorbing ? "" : " (a time-out: may be taken back)"}`,
    );

  const table = <T>(title: string, rows: readonly T[], columns: Parameters<typeof renderTable<T>>[1]) => {
    if (rows.length === 0) return;
    lines.push("", title, renderTable(rows, columns, "wide").replace(/^/gm, "  "));
  };
  table("paths", session.paths, [
    { title: "VIP", cell: (p) => p.vip },
    {
      title: "PAIRED CLIENT",
      cell: (p) => `${p.pairedClient ?? ""}${p.pairedGaveWay === true ? " (silent)" : ""}`,
    },
    { title: "LAST HEARD", cell: (p) => p.lastHeard?.client },
    { title: "OWNER", cell: (p) => p.owner },
    { title: "SUCCESSOR", cell: (p) => p.successor },
  ]);
  table("generations", session.generations.flatMap(candidateRows), [
    { title: "ROLE", cell: ({ generation }) => generation.role },
    { title: "PHASE", cell: ({ generation }) => (generation.aborted ? "aborted" : generation.phase) },
    { title: "CLIENT TAG", cell: ({ generation }) => generation.clientTag },
    { title: "ENDPOINT TAG", cell: ({ candidate }) => candidate?.endpointTag },
    { title: "ENDPOINT", cell: ({ candidate }) => candidate?.endpoint },
    { title: "NAT", cell: ({ candidate }) => candidate?.natPort, right: true },
    { title: "MEMBER", cell: ({ candidate }) => candidate?.member },
    {
      title: "CANDIDATE",
      cell: ({ candidate }) =>
        candidate?.committed ? "in force" : candidate?.echoed ? "selected" : "answered",
    },
  ]);
  table("counters", session.counters, [
    { title: "MEMBER", cell: (c) => c.member },
    { title: "VIP", cell: (c) => c.vip },
    { title: "CLIENT", cell: (c) => c.client },
    { title: "UP PACKETS", cell: (c) => c.up.packets, right: true },
    { title: "UP BYTES", cell: (c) => bytesText(c.up.bytes), right: true },
    { title: "DOWN PACKETS", cell: (c) => c.down.packets, right: true },
    { title: "DOWN BYTES", cell: (c) => bytesText(c.down.bytes), right: true },
    { title: "LAST SEEN", cell: (c) => lastSeen(c.up.lastSeenMsAgo, c.down.lastSeenMsAgo), right: true },
  ]);
  table("replication", session.replication, [
    { title: "MEMBER", cell: (r) => r.member },
    { title: "STATE", cell: (r) => r.state },
    {
      title: "LAG",
      cell: (r) => (r.lagMs === undefined ? undefined : `${r.lagMs.toFixed(1)}ms`),
      right: true,
    },
  ]);
  table("history (as this member saw it)", session.history, [
    { title: "AT", cell: (h) => h.at },
    { title: "PHASE", cell: (h) => h.phase },
    { title: "FROM", cell: (h) => (h.origin === "local" ? "seen here" : "another member") },
    { title: "NOTE", cell: (h) => h.note },
  ]);
  return lines.join("\n");
}

interface CandidateRow {
  readonly generation: SessionDetail["generations"][number];
  readonly candidate: SessionDetail["generations"][number]["candidates"][number] | undefined;
}

function candidateRows(generation: CandidateRow["generation"]): CandidateRow[] {
  if (generation.candidates.length === 0) return [{ generation, candidate: undefined }];
  return generation.candidates.map((candidate) => ({ generation, candidate }));
}

function lastSeen(...values: (number | undefined)[]): string | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : `${(Math.min(...known) / 1000).toFixed(1)}s ago`;
}

// `holdfast journal`: what a store's journals say, as text.
import { journalReport } from "@holdfast/sync";

export type JournalReport = Awaited<ReturnType<typeof journalReport>>;

export function readJournal(directory: string, session: string | undefined): Promise<JournalReport> {
  return journalReport(directory, session === undefined ? {} : { session });
}

export function journalText(report: JournalReport): string {
  const lines = [
    `store ${report.directory}: ${report.sessionCount} sessions, ${report.endedCount} of them ended`,
    ...report.damaged.map((what) => `  damaged: ${what}`),
    ...report.values.map(({ name, bytes }) => `  value ${name}: ${bytes} bytes`),
  ];
  for (const journal of report.journals) {
    lines.push(
      `journal of member number ${journal.member}, incarnation ${journal.incarnation} (${journal.actor})`,
    );
    for (const segment of journal.segments) {
      const state = segment.sealed ? "sealed" : "open";
      const later = segment.unknown > 0 ? `, ${segment.unknown} entries of later versions` : "";
      lines.push(
        `  segment ${segment.segment}: ${state}, ${segment.ticks} ticks, ${segment.deltas} deltas of ${segment.sessions} sessions${later}, ${segment.bytes} bytes`,
      );
      if (segment.refused !== undefined)
        lines.push(
          `    tick ${segment.refused.tick} and what follows does not count: ${segment.refused.reason}`,
        );
    }
  }
  if (report.session !== undefined) {
    const { record, entries } = report.session;
    lines.push(record === undefined ? "session: unknown to this store" : `session ${record.id}:`);
    for (const { actor, segment, tick, delta } of entries)
      lines.push(`  ${actor.slice(0, 8)} ${segment}/${tick}: ${plain(delta)}`);
    if (record !== undefined) lines.push(`  together: ${plain(record)}`);
  }
  return lines.join("\n");
}

/** JSON with maps as objects. */
export function plain(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner instanceof Map ? Object.fromEntries(inner) : inner,
  );
}

// What `holdfast diagnose` finds, in plain words.

export interface DiagnoseFinding {
  /** What was looked at: "kernel", "bpffs", "interface eth1", … */
  readonly subject: string;
  readonly level: "ok" | "warn" | "fail";
  /** What is so, one sentence. */
  readonly detail: string;
  /** What to do; absent when nothing is to be done. */
  readonly remedy?: string;
}

const MARK = { ok: "ok  ", warn: "WARN", fail: "FAIL" } as const;

export function findingsText(findings: readonly DiagnoseFinding[]): string {
  const width = Math.max(...findings.map((finding) => finding.subject.length), 1);
  const lines = findings.flatMap(({ subject, level, detail, remedy }) => [
    `${MARK[level]}  ${subject.padEnd(width)}  ${detail}`,
    ...(remedy !== undefined ? [`      ${" ".repeat(width)}  → ${remedy}`] : []),
  ]);
  const count = (level: DiagnoseFinding["level"]) =>
    findings.filter((finding) => finding.level === level).length;
  const [warnings, failures] = [count("warn"), count("fail")];
  lines.push(
    "",
    failures > 0
      ? `${failures} thing${failures === 1 ? "" : "s"} must be put right first.`
      : warnings > 0
        ? `It works; ${warnings} thing${warnings === 1 ? "" : "s"} could be better.`
        : "Everything is as it should be.",
  );
  return lines.join("\n");
}

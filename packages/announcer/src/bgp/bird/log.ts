// BIRD's lines as ours.
import type { Logger } from "@holdfast/model";

/** "2026-11-29 13:49:46.136 <INFO> Started" */
export function relay(line: string, logger: Logger): void {
  const match = /^(?:\S+ \S+ )?<(\w+)> (.*)$/.exec(line);
  const text = match?.[2] ?? line;
  // BIRD calls its own orderly end fatal.
  if (text === "Shutdown completed") logger.info({ speaker: "bird" }, text);
  else if (match?.[1] === "WARN" || match?.[1] === "RMT") logger.warn({ speaker: "bird" }, text);
  else if (match === null || ["ERR", "FATAL", "BUG", "AUTH"].includes(match[1] ?? ""))
    logger.error({ speaker: "bird" }, text);
  else logger.debug({ speaker: "bird" }, text);
}

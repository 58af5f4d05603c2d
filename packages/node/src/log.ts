// The daemon's log: pino, one line of JSON for each change of state. Every line has `cluster` and `self`, the
// member that writes; lines about a session, a VIP or another member carry its id under the same name at
// every member, so that logs join.
import type { Logger } from "@holdfast/model";
import { pino } from "pino";

export interface DaemonLogger extends Logger {
  /** A reload may change it. */
  setLevel(level: string): void;
}

export function createLogger(
  fields: { readonly cluster: string; readonly self: string },
  level: string,
): DaemonLogger {
  const log = pino(
    {
      level,
      base: fields,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    // Synchronous: the last line before an end is the one that matters.
    pino.destination({ dest: 1, sync: true }),
  );
  return Object.assign(log as unknown as Logger, {
    setLevel(next: string) {
      log.level = next;
    },
  });
}

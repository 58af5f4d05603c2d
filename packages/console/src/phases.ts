// Phases and protocols of a session that can be asked for, in their order: the schema's list would bring the
// schemas along.
import type { SessionSummary } from "@holdfast/api";

export type PhaseName = Exclude<SessionSummary["phase"], "unknown">;

const ALL: Readonly<Record<PhaseName, 0>> = {
  init: 0,
  initAck: 0,
  cookieEchoed: 0,
  established: 0,
  shutdown: 0,
  shutdownAck: 0,
  closed: 0,
  opening: 0,
  closing: 0,
  timeWait: 0,
};
export const PHASES = Object.keys(ALL) as PhaseName[];

export const PROTOCOLS = ["sctp", "tcp", "udp"] as const;
export type ProtocolName = (typeof PROTOCOLS)[number];

// What every stage of the composition is given. A stage opens its parts, says to `closers` how each is
// released, and returns them to the stages behind it.
import type { Clock } from "@holdfast/model";
import type { Closers } from "../closers.ts";
import type { OwnMember } from "../config/check.ts";
import type { Configuration } from "../config/schema.ts";
import type { DaemonLogger } from "../log.ts";

export interface StageContext {
  /** As it is now: a reload replaces it. */
  readonly configuration: () => Configuration;
  readonly own: OwnMember;
  readonly clock: Clock;
  readonly logger: DaemonLogger;
  readonly startedAtMs: number;
  readonly closers: Closers;
  /** A part failed beyond repair; the process must end. */
  readonly onFatal: (error: Error) => void;
  /** Pinned flows that cannot be carried over are given up; without it they are an error. */
  readonly discardFlows: boolean;
}

/** Whether a stop leaves the data plane in the kernel. */
export function keepsInstalled({ configuration }: StageContext): boolean {
  return configuration().dataPlane.keepInstalled;
}

import type { Announcer } from "../../../packages/announcer/src/index.ts";
import type { Coordinator } from "../../../packages/coordinator/src/index.ts";
import type { FastPath, ForwarderLimits } from "../../../packages/forwarder/src/index.ts";
import type { SessionView } from "../../../packages/model/src/index.ts";
import type { ClusterLink } from "../../../packages/node/src/cluster/link.ts";

/** What surrounds the part that a fault spoils. */
export interface FaultContext {
  readonly number: number;
  readonly view: SessionView;
}

export interface WholeFault {
  readonly name: string;
  readonly limits?: Partial<ForwarderLimits>;
  readonly memberNumber?: (number: number) => number;
  /** Verdicts that it takes to declare an endpoint dead. */
  readonly loneVerdicts?: boolean;
  readonly link?: (real: ClusterLink, context: FaultContext) => ClusterLink;
  readonly fastPath?: (real: FastPath, context: FaultContext) => FastPath;
  readonly announcer?: (real: Announcer) => Announcer;
  readonly coordinator?: (real: Coordinator) => Coordinator;
  /** A packet that leaves a member, changed. */
  readonly outgoing?: (packet: Uint8Array, context: FaultContext) => Uint8Array;
  /** A packet that reaches a member, changed. */
  readonly incoming?: (packet: Uint8Array, context: FaultContext) => Uint8Array;
}

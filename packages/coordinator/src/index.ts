// Membership, failure detection, and which member owns a VIP.
export {
  ADDRESS_COUNT_MAX,
  CLUSTER_VIP_COUNT_MAX,
  DEFAULT_TIMING,
  deadAfterMs,
  type MemberAddress,
  type MemberConfiguration,
  ROUTER_EVIDENCE_MS,
  type Timing,
} from "./configuration.ts";
export {
  type Coordinator,
  type CoordinatorEvent,
  type CoordinatorOptions,
  type DutiesListener,
  type PlacementOptions,
  type Prober,
  type Readiness,
  startCoordinator,
} from "./coordinator.ts";
export type { Credentials, CredentialsModule, Proof } from "./keys/credentials.ts";
export type { VipMove } from "./moves.ts";
export type { Pin, ServicePlacement, VipPlacement } from "./ownership/placement.ts";
export type { ProbeCounters, SignOfLife, SignOfLifeModule } from "./probe-thread/messages.ts";
export {
  type ClusterView,
  isPresent,
  type MemberNetworkView,
  type MemberPhase,
  type MemberView,
} from "./view.ts";

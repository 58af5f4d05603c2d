// data plane: BPF fast path, slow path, NAT ports, endpoint health
export { SLOW_PATH_EVENTS, type SlowPathEvent } from "./counters/counters.ts";
export { SLOW_PATH_DROP_REASONS, type SlowPathDropReason } from "./counters/drop-reasons.ts";
export type { ConfirmRemoved } from "./endings/strays.ts";
export {
  type BpfFastPath,
  type BpfFastPathOptions,
  openBpfFastPath,
} from "./fast-path/bpf/bpf-fast-path.ts";
export type { SignOfLifeData } from "./fast-path/bpf/sign-of-life.ts";
export { isBpfFastPath, type OpenFastPathOptions, openFastPath } from "./fast-path/open.ts";
export * from "./fast-path/plain.ts";
export * from "./fast-path/port.ts";
export {
  type OutgoingPacket,
  SimulatedFastPath,
  type SimulatedFastPathOptions,
} from "./fast-path/simulated/simulated-fast-path.ts";
export {
  openUserspaceFastPath,
  type UserspaceFastPathOptions,
} from "./fast-path/userspace/userspace-fast-path.ts";
export { createForwarder } from "./forwarder.ts";
export type { EndpointHealth, Verdict, VerdictChange } from "./health/endpoint-health.ts";
export {
  HealthProber,
  type HealthProberOptions,
  PROBE_SETTINGS_DEFAULT,
  type ProbeChannel,
  type ProbeDelays,
  type ProbedEndpoint,
  type ProbeSettings,
} from "./health/prober.ts";
export { RawProbeChannel } from "./health/raw-probe-channel.ts";
export type { UnprovenWay, Way, WayAnswer, WaySettings, Ways } from "./health/ways.ts";
export { type ForwarderLimits, LIMITS_DEFAULT, scaledLimits } from "./limits.ts";
export type { LendAnswer, LoanMessage, PortLending, PortWish } from "./nat-ports/lending.ts";
export type { PortBooks } from "./nat-ports/port-books.ts";
export type { InterfaceAddress, Link, Neighbour, Route } from "./netlink/messages.ts";
export { Netlink, type NetlinkEvent } from "./netlink/netlink.ts";
export {
  InterfaceSelection,
  isEthernet,
  isPattern,
  type LoopInterfaces,
  patternOf,
} from "./netlink/selection.ts";
export type { ForwarderOptions } from "./options.ts";
export type { Forwarder, ForwarderCounters, ForwarderEvent } from "./port.ts";
export type { VipPlacement } from "./services/served.ts";
export type { FlowTotals, PathDescription, SessionDescription } from "./sessions/description.ts";
export { PlainRoom } from "./slow-path/plain/create.ts";

// What tests of other packages may use of the forwarder: hosts, a rig around one forwarder, a cluster of
// them, and the reference translator that the programs are compared with.

export { Counters } from "../counters/counters.ts";
export { echoReply } from "../fast-path/answer/echo.ts";
export type {
  FastPath,
  Flow,
  FlowCounters,
  FlowKey,
  LocalAddress,
  Punt,
  PuntReason,
} from "../fast-path/port.ts";
export { Engine } from "../fast-path/reference/engine.ts";
export { reverseKey } from "../fast-path/reference/plain/entry.ts";
export type { DropReason, Verdict } from "../fast-path/reference/verdict.ts";
export { EndpointHealth } from "../health/endpoint-health.ts";
export { WAY_PORT_FIRST } from "../health/ways.ts";
export { NatPorts } from "../nat-ports/allocator.ts";
export type { Loan } from "../nat-ports/lending.ts";
export { Loans } from "../nat-ports/loans.ts";
export type { Link } from "../netlink/messages.ts";
export { PlainHeader, TCP_FLAG } from "../packet/plain/header.ts";
export { rewritePlain, writePlainChecksum } from "../packet/plain/rewrite.ts";
export * from "./cluster.ts";
export * from "./hosts.ts";
export * from "./rig.ts";

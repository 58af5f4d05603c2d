// What services of TCP and UDP say beside what all say: times, and which of their flows other members know.
import type { HealthCheck } from "../health-check.ts";
import {
  PROTOCOL_SCTP,
  PROTOCOL_TCP,
  PROTOCOL_UDP,
  type Protocol,
  protocolName,
  type Service,
} from "../service.ts";

/**
 * Seconds without a packet in either direction until a flow is forgotten.
 * TCP: `establishedS` (RFC 5382 REQ-5: at least 2 h 4 min), `transitoryS` while it opens or closes (4 min).
 * UDP: `flowS` (RFC 4787 REQ-5: 5 min recommended), `oneShotS` of a question and its answer, until the client
 * speaks again.
 */
export interface PlainIdle {
  readonly establishedS?: number;
  readonly transitoryS?: number;
  readonly flowS?: number;
  readonly oneShotS?: number;
}

export const IDLE_DEFAULTS: Readonly<Required<PlainIdle>> = {
  establishedS: 2 * 3_600 + 4 * 60,
  transitoryS: 4 * 60,
  flowS: 5 * 60,
  oneShotS: 30,
};
export const IDLE_S_MAX = 7 * 86_400;
const IDLE_FIELDS: Readonly<Record<"tcp" | "udp", readonly (keyof PlainIdle)[]>> = {
  tcp: ["establishedS", "transitoryS"],
  udp: ["flowS", "oneShotS"],
};

/**
 * `always`: from the endpoint's first answer on; `long-lived`: once they are `replicateAfterMs` old or half
 * idle, and at once when their member drains; `never`: a flow lives and dies with the member that carries it.
 */
export const REPLICATE_POLICIES = ["always", "long-lived", "never"] as const;
export type ReplicatePolicy = (typeof REPLICATE_POLICIES)[number];
export const REPLICATE_DEFAULT: ReplicatePolicy = "long-lived";
export const REPLICATE_AFTER_DEFAULT_MS = 1_000;
export const REPLICATE_AFTER_MAX_MS = 3_600_000;

export function isPlain(protocol: Protocol): boolean {
  return protocol === PROTOCOL_TCP || protocol === PROTOCOL_UDP;
}

/** How endpoints are asked that nobody said anything about: with their own protocol, of UDP with a ping. */
export function defaultCheckOf(protocol: Protocol): HealthCheck {
  if (protocol === PROTOCOL_TCP) return { kind: "tcp" };
  return protocol === PROTOCOL_UDP ? { kind: "ping" } : { kind: "sctp" };
}

/** The times of a service with what it does not say. */
export function idleOf({ idle }: Pick<Service, "idle">): Readonly<Required<PlainIdle>> {
  return idle === undefined ? IDLE_DEFAULTS : { ...IDLE_DEFAULTS, ...idle };
}

/** The fields that are there, always in one order. */
export function canonicalIdle({ establishedS, transitoryS, flowS, oneShotS }: PlainIdle): PlainIdle {
  return {
    ...(establishedS !== undefined && { establishedS }),
    ...(transitoryS !== undefined && { transitoryS }),
    ...(flowS !== undefined && { flowS }),
    ...(oneShotS !== undefined && { oneShotS }),
  };
}

type Said = { readonly protocol: Protocol } & Partial<
  Record<
    | "idle"
    | "replicate"
    | "replicateAfterMs"
    | "proxyProtocol"
    | "stateless"
    | "sourceAddresses"
    | "selection"
    | "endpointsMayBegin"
    | "peers"
    | "natPort"
    | "healthCheck",
    unknown
  >
>;

/** Why what a service says does not fit its protocol, for operators; undefined when it does. */
export function protocolProblem(said: Said): string | undefined {
  const { protocol, proxyProtocol } = said;
  if (proxyProtocol !== undefined && typeof proxyProtocol !== "boolean")
    return "proxyProtocol must be true or false";
  if (proxyProtocol === true && protocol !== PROTOCOL_TCP)
    return `proxyProtocol is of tcp: ${protocolName(protocol)} has no stream that its header could begin`;
  if (said.sourceAddresses !== undefined && !isPlain(protocol))
    return "sourceAddresses are of tcp and udp: SCTP's endpoints know the VIPs alone";
  return statelessProblem(said) ?? protocolsOwnProblem(said);
}

/** UDP: nothing is remembered. TCP: endpoints are chosen before clients come. What needs more is refused. */
function statelessProblem(said: Said): string | undefined {
  const { protocol, stateless, selection, replicate, replicateAfterMs } = said;
  if (stateless !== undefined && typeof stateless !== "boolean") return "stateless must be true or false";
  if (stateless !== true) return undefined;
  if (protocol === PROTOCOL_TCP) return statelessTcpProblem(said);
  if (protocol !== PROTOCOL_UDP)
    return `stateless is of tcp and udp: every association of ${protocolName(protocol)} is a session`;
  if (selection !== "hash")
    return "stateless of udp needs selection hash: any other has to remember which endpoint a client has";
  if (replicate !== undefined || replicateAfterMs !== undefined)
    return "stateless of udp leaves nothing to replicate: leave replicate and replicateAfterMs out";
  return undefined;
}

function statelessTcpProblem({ selection, replicate, proxyProtocol }: Said): string | undefined {
  if (selection === "hash" || selection === "persist")
    return `stateless of tcp chooses endpoints before clients come, and selection ${selection} by the client: take leastAssociations, roundRobin or weighted`;
  if (replicate === "always")
    return "stateless of tcp tells the others of a connection once it has lived: take replicate long-lived or never";
  if (proxyProtocol === true)
    return "stateless of tcp begins connections without the daemon, which sends the header of proxyProtocol: leave one of them out";
  return undefined;
}

function protocolsOwnProblem(said: Said): string | undefined {
  return isPlain(said.protocol) ? plainProblem(said) : sctpProblem(said);
}

function sctpProblem({ protocol, idle, replicate, replicateAfterMs }: Said): string | undefined {
  if (protocol !== PROTOCOL_SCTP) return "the protocol must be sctp, tcp or udp";
  if (idle !== undefined) return "idle is of tcp and udp: of sctp it is idleTimeoutS";
  if (replicate !== undefined || replicateAfterMs !== undefined)
    return "replicate and replicateAfterMs are of tcp and udp: associations are always replicated";
  return undefined;
}

function plainProblem(said: Said): string | undefined {
  const { protocol, idle, replicate, replicateAfterMs, peers, natPort } = said;
  const name = protocol === PROTOCOL_TCP ? "tcp" : "udp";
  if (said.endpointsMayBegin === true || (Array.isArray(peers) && peers.length > 0))
    return `endpointsMayBegin and peers have no meaning for ${name}`;
  if (natPort === "require") return `natPort must be any or keep for ${name}`;
  if (replicate !== undefined && !(REPLICATE_POLICIES as readonly unknown[]).includes(replicate))
    return `replicate must be one of ${REPLICATE_POLICIES.join(", ")}`;
  if (replicateAfterMs !== undefined && !isWithin(replicateAfterMs, 0, REPLICATE_AFTER_MAX_MS))
    return `replicateAfterMs must be an integer from 0 to ${REPLICATE_AFTER_MAX_MS}`;
  return idle === undefined ? undefined : idleProblem(idle, name);
}

function idleProblem(idle: unknown, name: "tcp" | "udp"): string | undefined {
  if (typeof idle !== "object" || idle === null || Array.isArray(idle)) return "idle must be an object";
  const fields: readonly string[] = IDLE_FIELDS[name];
  for (const [field, value] of Object.entries(idle)) {
    if (!fields.includes(field))
      return `idle.${field} has no meaning for ${name}: it has ${fields.join(", ")}`;
    if (value !== undefined && !isWithin(value, 1, IDLE_S_MAX))
      return `idle.${field} must be an integer from 1 to ${IDLE_S_MAX}`;
  }
  return undefined;
}

function isWithin(value: unknown, least: number, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= least && (value as number) <= most;
}

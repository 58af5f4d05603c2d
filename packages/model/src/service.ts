// A service: VIPs, port, protocol, selection, endpoints. What the operator configures and all members share.
import type { Address } from "./address.ts";
import type { ServiceAnnounce } from "./announce.ts";
import type { HealthCheck } from "./health-check.ts";
import type { PlainIdle, ReplicatePolicy } from "./plain/service.ts";
import type { EndpointRemoval, LeavingEndpoint, ServiceRemoval } from "./removal.ts";

/**
 * IANA protocol number, 1 … 255. It is part of every key: two protocols on one port of one VIP have nothing
 * in common.
 */
export type Protocol = number;
export const PROTOCOL_SCTP: Protocol = 132;
export const PROTOCOL_TCP: Protocol = 6;
export const PROTOCOL_UDP: Protocol = 17;

/** What a service may be of. */
export const SERVICE_PROTOCOLS = ["sctp", "tcp", "udp"] as const;
export type ServiceProtocol = (typeof SERVICE_PROTOCOLS)[number];
const PROTOCOL_NAMES: ReadonlyMap<Protocol, string> = new Map([
  [PROTOCOL_TCP, "tcp"],
  [PROTOCOL_UDP, "udp"],
  [PROTOCOL_SCTP, "sctp"],
]);
const PROTOCOL_NUMBERS: ReadonlyMap<string, Protocol> = new Map(
  [...PROTOCOL_NAMES].map(([protocol, name]) => [name, protocol]),
);

/** "sctp", "tcp", "udp"; of any other its number. */
export function protocolName(protocol: Protocol): string {
  return PROTOCOL_NAMES.get(protocol) ?? String(protocol);
}

/** The number of a protocol that a service may be of; undefined: it may not. */
export function protocolOf(name: ServiceProtocol): Protocol;
export function protocolOf(name: string): Protocol | undefined;
export function protocolOf(name: string): Protocol | undefined {
  return PROTOCOL_NUMBERS.get(name);
}

/** The protocol that a service's id begins with; undefined when a service cannot be of it. */
export function protocolOfId(id: ServiceId): Protocol | undefined {
  return protocolOf(id.slice(0, Math.max(0, id.indexOf("/"))));
}

/** "PROTOCOL/PRIMARY:PORT", for example "sctp/203.0.113.1:38412" or "sctp/[2001:db8::1]:38412". */
export type ServiceId = string;

export type SelectionMode = "leastAssociations" | "roundRobin" | "weighted" | "hash" | "persist";

/** One primary and at most three secondaries. */
export const VIP_COUNT_MAX = 4;
export const ENDPOINT_COUNT_MAX = 32;
/** Addresses of one endpoint. */
export const ADDRESS_COUNT_MAX_PER_ENDPOINT = 8;

/** Prefixes that a service's clients may come from. */
export const ALLOWED_SOURCE_COUNT_MAX = 256;

/** Addresses of one service to talk to endpoints from, beside its VIPs. */
export const SOURCE_ADDRESS_COUNT_MAX = 16;

/** Addresses of the client that endpoints may begin with. */
export const PEER_COUNT_MAX = 8;

/** Why a service's words about endpoints that begin cannot be meant, or undefined. */
export function beginningProblem({
  endpointsMayBegin,
  peers,
  vips,
}: {
  readonly endpointsMayBegin?: unknown;
  readonly peers?: unknown;
  readonly vips: readonly Address[];
}): string | undefined {
  if (endpointsMayBegin !== undefined && typeof endpointsMayBegin !== "boolean")
    return "endpointsMayBegin must be true or false";
  if (peers === undefined) return endpointsMayBegin === true ? "endpointsMayBegin needs peers" : undefined;
  if (!Array.isArray(peers) || peers.length > PEER_COUNT_MAX)
    return `peers must be at most ${PEER_COUNT_MAX}`;
  if (endpointsMayBegin === true && peers.length === 0) return "endpointsMayBegin needs peers";
  const own: readonly string[] = vips;
  for (const peer of peers) {
    if (typeof peer !== "string") return "peers must be addresses";
    if (own.includes(peer)) return `the peer ${peer} is a VIP of the service`;
    if (ofItsFamily(vips, peer) === undefined) return `the peer ${peer} is of a family that no VIP is of`;
  }
  return undefined;
}

/** Of SCTP; what the API's schema says, too. */
export const IDLE_TIMEOUT_DEFAULT_S = 900;

/** What becomes of a client's own port toward the endpoint; `keep` when a service does not say. */
export const NAT_PORT_POLICIES = ["any", "keep", "require"] as const;
export type NatPortPolicy = (typeof NAT_PORT_POLICIES)[number];
export const NAT_PORT_POLICY_DEFAULT: NatPortPolicy = "keep";

export interface Endpoint {
  /** Its identity: what sessions, verdicts and counts name it by. */
  readonly address: Address;
  /** All addresses of the server, the identity first. Absent: the identity is the only one. */
  readonly addresses?: readonly Address[];
  /** Port at the endpoint, 1 … 65535. */
  readonly port: number;
  /** 1 … 65535; shares of new associations. 0 takes none. */
  readonly weight: number;
  /** `drain`: living associations stay, restarts and new ones go elsewhere. */
  readonly state: "active" | "drain";
  /** How this one is asked whether it lives; the service's check when absent. */
  readonly healthCheck?: HealthCheck;
}

export interface Service {
  readonly id: ServiceId;
  readonly name: string;
  readonly protocol: Protocol;
  /** Index 0 is the primary, 1 … 3 the secondaries. */
  readonly vips: readonly Address[];
  readonly port: number;
  readonly selection: SelectionMode;
  readonly endpoints: readonly Endpoint[];
  /** An association without traffic on any path for this long is forgotten. Seconds, default 900. */
  readonly idleTimeoutS: number;
  /** RFC 9260 §5.2.2: a restart that adds addresses is answered with ABORT unless `accept`. */
  readonly restartNewAddresses: "abort" | "accept";
  /** Extra client prefixes that private addresses are accepted from (CIDR text). */
  readonly clientPrefixes: readonly string[];
  /**
   * CIDR text, canonical: whence associations may begin, at most ALLOWED_SOURCE_COUNT_MAX. Absent: from
   * anywhere. Of a family that is not in the list nobody is allowed. What has begun stays
   * (docs/operating.md).
   */
  readonly allowedSources?: readonly string[];
  /** Withdraw the VIPs while no endpoint is healthy. */
  readonly withdrawWhenDown: boolean;
  /**
   * Whether the endpoint sees the client's own port: if it can be, only then, or as it comes. Absent: `keep`.
   */
  readonly natPort?: NatPortPolicy;
  /** An INIT from an endpoint's own address and port goes to the first of `peers` that answers. */
  readonly endpointsMayBegin?: boolean;
  /** Addresses of the one client that endpoints may begin with; on the service's port. */
  readonly peers?: readonly Address[];
  /** How its endpoints are asked whether they live; `defaultCheckOf` its protocol when absent. */
  readonly healthCheck?: HealthCheck;
  /** TCP, UDP: when a flow without packets is forgotten; what is absent is IDLE_DEFAULTS. */
  readonly idle?: PlainIdle;
  /** TCP, UDP: which flows other members know. Absent: REPLICATE_DEFAULT. */
  readonly replicate?: ReplicatePolicy;
  /** TCP, UDP: how old a flow is when `long-lived` replicates it, ms. Absent: REPLICATE_AFTER_DEFAULT_MS. */
  readonly replicateAfterMs?: number;
  /** TCP: the endpoint is told the client's address first (PROXY protocol, version 2). Absent: no. */
  readonly proxyProtocol?: boolean;
  /**
   * TCP, UDP: addresses beside the VIP that endpoints are talked to from when its NAT ports toward one of
   * them are in use. Each goes with the first VIP of its family. At most SOURCE_ADDRESS_COUNT_MAX.
   */
  readonly sourceAddresses?: readonly Address[];
  /**
   * UDP with `hash`: no session, and no record; a client's endpoint follows from its address. TCP: the fast
   * path begins connections, which are sessions once they are `replicateAfterMs` old. Absent: no.
   */
  readonly stateless?: boolean;
  /** What routers are told of its VIPs, beside what the members' configuration says. */
  readonly announce?: ServiceAnnounce;
  /** Default ENDPOINT_REMOVAL_DEFAULT. */
  readonly endpointRemoval?: EndpointRemoval;
  /** Endpoints that left the list and still have their grace. */
  readonly leaving?: readonly LeavingEndpoint[];
  /** It was deleted, and still has its grace. */
  readonly removal?: ServiceRemoval;
  /** Who made it: "api", "loxilb", "file@MEMBER". */
  readonly managedBy?: string;
}

/** The VIP that a source address goes with: whoever has the one has the other. */
export function anchorOf(vips: readonly Address[], source: Address): Address | undefined {
  return ofItsFamily(vips, source);
}

function ofItsFamily(vips: readonly Address[], text: string): Address | undefined {
  return vips.find((vip) => vip.includes(":") === text.includes(":"));
}

/** Why a service's source addresses cannot be meant, or undefined. */
export function sourceAddressProblem(sources: unknown, vips: readonly Address[]): string | undefined {
  if (sources === undefined) return undefined;
  if (!Array.isArray(sources) || sources.length === 0 || sources.length > SOURCE_ADDRESS_COUNT_MAX)
    return `sourceAddresses must be 1 to ${SOURCE_ADDRESS_COUNT_MAX} addresses`;
  if (new Set(sources).size !== sources.length) return "a source address stands twice";
  const own: readonly string[] = vips;
  for (const source of sources) {
    if (typeof source !== "string") return "sourceAddresses must be addresses";
    if (own.includes(source))
      return `the source address ${source} is a VIP of the service: it is used anyway`;
    if (ofItsFamily(vips, source) === undefined)
      return `the source address ${source} is of a family that no VIP is of`;
  }
  return undefined;
}

/** All configured addresses of an endpoint, its identity first. */
export function addressesOfEndpoint(endpoint: Pick<Endpoint, "address" | "addresses">): readonly Address[] {
  return endpoint.addresses ?? [endpoint.address];
}

/** The field as an endpoint has it: absent when the identity is the only address. */
export function withAddresses(addresses: readonly Address[]): Pick<Endpoint, "addresses"> {
  return addresses.length > 1 ? { addresses } : {};
}

export function serviceIdOf(protocol: Protocol, primary: Address, port: number): ServiceId {
  const place = primary.includes(":") ? `[${primary}]:${port}` : `${primary}:${port}`;
  return `${protocolName(protocol)}/${place}`;
}

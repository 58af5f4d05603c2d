// Which addresses a service may have. One rule for every way in: the file, both APIs, and what other members
// replicate.
import { type Address, addressBytes, familyOf } from "./address.ts";
import { HoldfastError } from "./errors.ts";
import { REPLICATE_DEFAULT } from "./plain/service.ts";
import {
  addressesOfEndpoint,
  anchorOf,
  IDLE_TIMEOUT_DEFAULT_S,
  PROTOCOL_SCTP,
  protocolName,
  type Service,
  type ServiceId,
} from "./service.ts";

/** Why no host, and no VIP, can have the address; undefined: it is a unicast address that networks carry. */
export function unusableKind(address: Address): string | undefined {
  const bytes = addressBytes(address);
  return bytes.length === 4 ? unusable4(bytes) : unusable6(bytes);
}

function unusable4([a = 0, b = 0, c = 0, d = 0]: Uint8Array): string | undefined {
  // RFC 1122 §3.2.1.3, RFC 3927, RFC 5771, RFC 1112 §4.
  if (a === 0) return 'unspecified, or of "this network"';
  if (a === 127) return "a loopback address";
  if (a === 169 && b === 254) return "link-local";
  if (a >= 224 && a < 240) return "multicast";
  if (a === 255 && b === 255 && c === 255 && d === 255) return "the broadcast address";
  if (a >= 240) return "reserved (240.0.0.0/4)";
  return undefined;
}

function unusable6(bytes: Uint8Array): string | undefined {
  const [first = 0, second = 0] = bytes;
  const zero = (count: number) => bytes.subarray(0, count).every((byte) => byte === 0);
  if (zero(15)) {
    if (bytes[15] === 0) return "unspecified";
    if (bytes[15] === 1) return "a loopback address";
  }
  if (zero(10) && bytes[10] === 0xff && bytes[11] === 0xff) return "an IPv4-mapped address";
  if (zero(12)) return "an IPv4-compatible address (deprecated)";
  if (first === 0xff) return "multicast";
  if (first === 0xfe && (second & 0xc0) === 0x80) return "link-local";
  return undefined;
}

export type Scope = "global" | "private" | "unusable";

/**
 * The scope as SCTP stacks see it (Linux `sctp_v4_scope`, `sctp_v6_scope`): of a peer whose INIT came from a
 * global address they leave private ones out. 100.64/10 and unique local IPv6 addresses count as global
 * there.
 */
export function scopeOf(address: Address): Scope {
  const [a = 0, b = 0, c = 0] = addressBytes(address);
  if (familyOf(address) === 6) return a === 0xfe && (b & 0xc0) === 0xc0 ? "private" : "global";
  if (a === 10 || (a === 172 && b >= 16 && b < 32) || (a === 192 && b === 168)) return "private";
  if ((a === 198 && b === 18 && c === 0) || (a === 192 && b === 88 && c === 99)) return "unusable";
  return "global";
}

/** Who has an address: an interface of a member, or the gateway that a member's default route names. */
export interface AddressHolder {
  readonly member: string;
  readonly as: "interface" | "broadcast" | "gateway";
  /** Of the interface, or of the gateway's; empty when it is not known. */
  readonly interface: string;
}

/** What is known of members' own addresses now. */
export interface AddressBook {
  holderOf(address: Address): AddressHolder | undefined;
}

export const EMPTY_ADDRESS_BOOK: AddressBook = { holderOf: () => undefined };

/** What is wrong with the address itself, whoever has which. */
export function vipKindProblem(vip: Address): HoldfastError | undefined {
  const kind = unusableKind(vip);
  return kind === undefined ? undefined : new HoldfastError("VIP_NOT_UNICAST", { vip, kind });
}

export function endpointKindProblem(endpoint: Address): HoldfastError | undefined {
  const kind = unusableKind(endpoint);
  return kind === undefined ? undefined : new HoldfastError("ENDPOINT_NOT_UNICAST", { endpoint, kind });
}

/** A VIP that is somebody's address already. */
export function holderProblem(vip: Address, holder: AddressHolder | undefined): HoldfastError | undefined {
  if (holder === undefined) return undefined;
  const { member } = holder;
  const name = holder.interface === "" ? "an interface" : holder.interface;
  if (holder.as === "gateway") return new HoldfastError("VIP_IS_GATEWAY", { vip, member, interface: name });
  if (holder.as === "broadcast")
    return new HoldfastError("VIP_IS_BROADCAST", { vip, member, interface: name });
  return new HoldfastError("VIP_IS_MEMBER_ADDRESS", { vip, member, interface: name });
}

type Addresses = Pick<Service, "id" | "vips" | "endpoints" | "sourceAddresses">;

/** What the members answer for: VIPs, and what they talk to endpoints from beside them. */
const ownedBy = ({ vips, sourceAddresses = [] }: Pick<Addresses, "vips" | "sourceAddresses">) => [
  ...vips,
  ...sourceAddresses,
];

/**
 * A source address is one member's, who has the VIP that it goes with: two services may share one when they
 * share that VIP. It is nobody's VIP.
 */
function sharedSourceProblem(service: Addresses, other: Addresses): HoldfastError | undefined {
  const { sourceAddresses = [] } = service;
  for (const [sources, vips] of [
    [sourceAddresses, other.vips],
    [other.sourceAddresses ?? [], service.vips],
  ] as const) {
    const vip = sources.find((source) => vips.includes(source));
    if (vip !== undefined)
      return invalid(`the source address ${vip} is a VIP; ${service.id} and ${other.id} cannot both have it`);
  }
  const shared = other.sourceAddresses?.find(
    (source) =>
      sourceAddresses.includes(source) && anchorOf(other.vips, source) !== anchorOf(service.vips, source),
  );
  if (shared === undefined) return undefined;
  return invalid(
    `the source address ${shared} is ${other.id}'s: services share one if their first VIP is the same`,
  );
}

function invalid(reason: string): HoldfastError {
  return new HoldfastError("SERVICE_INVALID", { reason });
}

/** An endpoint is an address of `owner`, whose source addresses are no VIPs and are not called so. */
function endpointIsOwned(endpoint: Address, owner: Pick<Addresses, "id" | "vips">): HoldfastError {
  return owner.vips.includes(endpoint)
    ? new HoldfastError("ENDPOINT_IS_VIP", { endpoint, service: owner.id })
    : invalid(
        `${endpoint} cannot be an endpoint: it is a source address of ${owner.id}, which the members answer for`,
      );
}

/** An address that `owner` wants for the members is an endpoint of `service`. */
function ownedIsEndpoint(
  address: Address,
  owner: Pick<Addresses, "vips">,
  service: ServiceId,
): HoldfastError {
  return owner.vips.includes(address)
    ? new HoldfastError("VIP_IS_ENDPOINT", { vip: address, service })
    : invalid(
        `${address} cannot be a source address: it is an endpoint of ${service}, and members answer for source addresses`,
      );
}

/**
 * A clash between the addresses of services alone: the same at every member. The service itself may be among
 * `others`.
 */
export function serviceAddressProblem(
  service: Addresses,
  others: Iterable<Addresses>,
): HoldfastError | undefined {
  const owned = ownedBy(service);
  for (const vip of owned) {
    const problem = vipKindProblem(vip);
    if (problem !== undefined) return problem;
  }
  const vips = new Set(owned);
  const endpoints = new Set<Address>();
  for (const address of service.endpoints.flatMap(addressesOfEndpoint)) {
    const problem = endpointKindProblem(address);
    if (problem !== undefined) return problem;
    if (vips.has(address)) {
      const isVip = service.vips.includes(address);
      return isVip ? endpointIsOwned(address, service) : ownedIsEndpoint(address, service, service.id);
    }
    endpoints.add(address);
  }
  for (const other of others) {
    if (other.id === service.id) continue;
    const problem = sharedSourceProblem(service, other);
    if (problem !== undefined) return problem;
    const vip = ownedBy(other).find((address) => endpoints.has(address));
    if (vip !== undefined) return endpointIsOwned(vip, other);
    const taken = other.endpoints.flatMap(addressesOfEndpoint).find((address) => vips.has(address));
    if (taken !== undefined) return ownedIsEndpoint(taken, service, other.id);
  }
  return undefined;
}

/** Why the service may not come into force; undefined: it may. */
export function serviceProblem(
  service: Addresses,
  others: Iterable<Addresses>,
  book: AddressBook,
): HoldfastError | undefined {
  const clash = serviceAddressProblem(service, others);
  if (clash !== undefined) return clash;
  for (const vip of ownedBy(service)) {
    const problem = holderProblem(vip, book.holderOf(vip));
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/**
 * Services that were replicated and break the rule: of two that clash the one with the smaller id is served.
 */
export function unservableServices(services: readonly Service[]): ReadonlyMap<ServiceId, HoldfastError> {
  const refused = new Map<ServiceId, HoldfastError>();
  const owners = new Map<Address, Service>();
  const endpoints = new Map<Address, ServiceId>();
  for (const service of [...services].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const problem =
      serviceAddressProblem(service, []) ?? takenVip(service, endpoints) ?? takenEndpoint(service, owners);
    if (problem !== undefined) {
      refused.set(service.id, problem);
      continue;
    }
    for (const address of ownedBy(service)) owners.set(address, service);
    for (const address of service.endpoints.flatMap(addressesOfEndpoint)) endpoints.set(address, service.id);
  }
  return refused;
}

function takenVip(service: Service, endpoints: ReadonlyMap<Address, ServiceId>): HoldfastError | undefined {
  const vip = ownedBy(service).find((address) => endpoints.has(address));
  if (vip === undefined) return undefined;
  return ownedIsEndpoint(vip, service, endpoints.get(vip) as ServiceId);
}

function takenEndpoint(service: Service, owners: ReadonlyMap<Address, Service>): HoldfastError | undefined {
  const endpoint = service.endpoints.flatMap(addressesOfEndpoint).find((address) => owners.has(address));
  if (endpoint === undefined) return undefined;
  return endpointIsOwned(endpoint, owners.get(endpoint) as Service);
}

/** What is allowed, and likely not meant. Scopes are SCTP's: a connection or a datagram has one address. */
export function serviceWarnings(service: Service): HoldfastError[] {
  return service.protocol === PROTOCOL_SCTP ? scopeWarnings(service) : unusedWarnings(service);
}

/** Fields of SCTP's, and some of each other's, are taken from whoever says them of every service alike. */
function unusedWarnings(service: Service): HoldfastError[] {
  const { id, protocol, replicate = REPLICATE_DEFAULT, replicateAfterMs } = service;
  const unused = {
    idleTimeoutS: service.idleTimeoutS !== IDLE_TIMEOUT_DEFAULT_S,
    restartNewAddresses: service.restartNewAddresses !== "abort",
    clientPrefixes: service.clientPrefixes.length > 0,
    replicateAfterMs: replicateAfterMs !== undefined && replicate !== "long-lived",
  };
  const fields = Object.entries(unused).flatMap(([field, isUnused]) => (isUnused ? [field] : []));
  if (fields.length === 0) return [];
  return [
    new HoldfastError("SERVICE_FIELDS_UNUSED", {
      ...{ service: id, protocol: protocolName(protocol), fields: fields.join(", ") },
    }),
  ];
}

function scopeWarnings({ id, vips }: Service): HoldfastError[] {
  const warnings: HoldfastError[] = [];
  const unusable = vips.filter((vip) => scopeOf(vip) === "unusable");
  if (unusable.length > 0)
    warnings.push(new HoldfastError("SERVICE_VIP_UNUSED", { service: id, vips: unusable.join(", ") }));
  const isPrivate = vips.filter((vip) => scopeOf(vip) === "private");
  const isGlobal = vips.filter((vip) => scopeOf(vip) === "global");
  if (isPrivate.length > 0 && isGlobal.length > 0)
    warnings.push(
      new HoldfastError("SERVICE_SCOPES_MIXED", {
        service: id,
        private: isPrivate.join(", "),
        global: isGlobal.join(", "),
      }),
    );
  return warnings;
}

// What may stand in the configuration. Checked before a member's own edit is written and before a peer's is
// applied.
import {
  ADDRESS_COUNT_MAX_PER_ENDPOINT,
  type Address,
  ALLOWED_SOURCE_COUNT_MAX,
  announceProblem,
  beginningProblem,
  canonicalPrefix,
  ENDPOINT_COUNT_MAX,
  type Endpoint,
  type FileImage,
  healthCheckProblem,
  isAddress,
  LEAVING_COUNT_MAX,
  NAT_PORT_POLICIES,
  type NatPortPolicy,
  type Protocol,
  protocolProblem,
  type Removal,
  type SelectionMode,
  type Service,
  serviceIdOf,
  sourceAddressProblem,
  VIP_COUNT_MAX,
} from "@holdfast/model";

const SELECTIONS: readonly SelectionMode[] = [
  "leastAssociations",
  "roundRobin",
  "weighted",
  "hash",
  "persist",
];
const NAME_LENGTH_MAX = 253;
const PREFIX_COUNT_MAX = 64;
const WEIGHT_MAX = 65_535;
const MANAGED_BY_LENGTH_MAX = 80;
const DIGEST_LENGTH_MAX = 128;
/** A day: longest grace. */
const GRACE_S_MAX = 86_400;

/** What this build knows of the values under `service/` and `endpoint/`; other fields are later versions'. */
export const SERVICE_FIELDS: Readonly<Record<keyof Omit<Service, "endpoints" | "leaving">, true>> = {
  id: true,
  name: true,
  protocol: true,
  vips: true,
  port: true,
  selection: true,
  idleTimeoutS: true,
  restartNewAddresses: true,
  clientPrefixes: true,
  allowedSources: true,
  withdrawWhenDown: true,
  natPort: true,
  endpointsMayBegin: true,
  peers: true,
  healthCheck: true,
  idle: true,
  replicate: true,
  replicateAfterMs: true,
  proxyProtocol: true,
  stateless: true,
  sourceAddresses: true,
  announce: true,
  endpointRemoval: true,
  removal: true,
  managedBy: true,
};
export const ENDPOINT_FIELDS: Readonly<Record<keyof Omit<Endpoint, "address" | "port"> | "leaving", true>> = {
  addresses: true,
  weight: true,
  state: true,
  healthCheck: true,
  leaving: true,
};

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535;
}

/** Why a service cannot be taken, or undefined. The texts are for operators. */
export function serviceProblem(service: Service): string | undefined {
  const { endpoints, leaving = [], ...rest } = service;
  const problem = serviceValueProblem(service.id, rest);
  if (problem !== undefined) return problem;
  if (endpoints.length > ENDPOINT_COUNT_MAX) return `more than ${ENDPOINT_COUNT_MAX} endpoints`;
  if (leaving.length > LEAVING_COUNT_MAX) return `more than ${LEAVING_COUNT_MAX} endpoints that leave`;
  const seen = new Set<string>();
  for (const { address, port, ...value } of endpoints) {
    const name = `${address} port ${port}`;
    if (!isAddress(address) || !isPort(port)) return `the endpoint ${name} has no valid address and port`;
    if (!isEndpointValue(value))
      return `the endpoint ${name} has no valid weight, state, addresses and health check`;
    if (value.addresses !== undefined && value.addresses[0] !== address)
      return `the endpoint ${name} is not the first of its addresses`;
    for (const each of value.addresses ?? [address]) {
      const place = `${each} port ${port}`;
      if (seen.has(place)) return `the endpoint ${place} stands twice`;
      seen.add(place);
    }
  }
  const places = new Set(endpoints.map(({ address, port }) => `${address} port ${port}`));
  for (const { address, port, sinceMs, graceMs, ...value } of leaving) {
    const name = `${address} port ${port}`;
    const isWell =
      isAddress(address) && isPort(port) && isRemoval({ sinceMs, graceMs }) && isEndpointValue(value);
    if (!isWell || places.has(name)) return `the endpoint ${name} cannot leave`;
    places.add(name);
  }
  return undefined;
}

export function isServiceValue(id: string, value: unknown): boolean {
  return typeof value === "object" && value !== null && serviceValueProblem(id, value) === undefined;
}

function serviceValueProblem(id: string, value: object): string | undefined {
  const service = value as Partial<Record<keyof Service, unknown>>;
  const { vips, port, name, clientPrefixes, idleTimeoutS } = service;
  const unfit = protocolProblem({ ...service, protocol: service.protocol as Protocol });
  if (unfit !== undefined) return unfit;
  if (!Array.isArray(vips) || vips.length < 1 || vips.length > VIP_COUNT_MAX || !vips.every(isAddress)) {
    return `the VIPs must be 1 to ${VIP_COUNT_MAX} addresses`;
  }
  if (new Set(vips).size !== vips.length) return "a VIP stands twice";
  if (!isPort(port)) return "the port must be 1 to 65535";
  const sources = service.sourceAddresses;
  const wrong = sourceAddressProblem(sources, vips);
  if (wrong !== undefined) return wrong;
  if (Array.isArray(sources) && !sources.every(isAddress)) return "sourceAddresses must be addresses";
  if (service.id !== id || id !== serviceIdOf(service.protocol as Protocol, vips[0] as Address, port))
    return "the id does not fit VIP and port";
  if (typeof name !== "string" || name.length > NAME_LENGTH_MAX) return "the name is too long";
  if (!SELECTIONS.includes(service.selection as SelectionMode)) return "the selection is unknown";
  if (!Number.isInteger(idleTimeoutS) || (idleTimeoutS as number) < 1)
    return "idleTimeoutS must be 1 or more";
  if (service.restartNewAddresses !== "abort" && service.restartNewAddresses !== "accept") {
    return "restartNewAddresses must be abort or accept";
  }
  if (
    !Array.isArray(clientPrefixes) ||
    clientPrefixes.length > PREFIX_COUNT_MAX ||
    !clientPrefixes.every((prefix) => typeof prefix === "string" && prefix.length <= 64)
  ) {
    return `clientPrefixes must be at most ${PREFIX_COUNT_MAX} prefixes`;
  }
  if (service.allowedSources !== undefined && !isAllowedSources(service.allowedSources))
    return `allowedSources must be 1 to ${ALLOWED_SOURCE_COUNT_MAX} prefixes, without bits behind their lengths`;
  const beginning = beginningProblem({ ...service, vips });
  if (beginning !== undefined) return beginning;
  if (Array.isArray(service.peers) && !service.peers.every(isAddress)) return "the peers must be addresses";
  if (service.natPort !== undefined && !NAT_PORT_POLICIES.includes(service.natPort as NatPortPolicy))
    return `natPort must be ${NAT_PORT_POLICIES.join(", ")}`;
  if (typeof service.withdrawWhenDown !== "boolean") return "withdrawWhenDown must be true or false";
  const check = service.healthCheck === undefined ? undefined : healthCheckProblem(service.healthCheck);
  const announce = service.announce === undefined ? undefined : announceProblem(service.announce);
  return check ?? announce ?? removalProblem(service);
}

function isAllowedSources(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length >= 1 &&
    value.length <= ALLOWED_SOURCE_COUNT_MAX &&
    value.every((prefix) => typeof prefix === "string" && canonicalPrefix(prefix) === prefix)
  );
}

function removalProblem(service: Partial<Record<keyof Service, unknown>>): string | undefined {
  const { endpointRemoval, removal, managedBy } = service;
  if (endpointRemoval !== undefined) {
    const { mode, graceS } = (endpointRemoval ?? {}) as { mode?: unknown; graceS?: unknown };
    if ((mode !== "drain" && mode !== "end") || !isWhole(graceS, GRACE_S_MAX))
      return `endpointRemoval needs a mode, drain or end, and graceS, at most ${GRACE_S_MAX}`;
  }
  if (removal !== undefined) {
    const { mode } = (removal ?? {}) as { mode?: unknown };
    if (!isRemoval(removal) || (mode !== "change" && mode !== "drain")) return "its removal is not valid";
  }
  if (managedBy !== undefined && (typeof managedBy !== "string" || managedBy.length > MANAGED_BY_LENGTH_MAX))
    return "managedBy is too long";
  return undefined;
}

function isRemoval(value: unknown): value is Removal {
  if (typeof value !== "object" || value === null) return false;
  const { sinceMs, graceMs } = value as { sinceMs?: unknown; graceMs?: unknown };
  return isWhole(sinceMs, Number.MAX_SAFE_INTEGER) && isWhole(graceMs, GRACE_S_MAX * 1000);
}

function isWhole(value: unknown, most: number): boolean {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

export function isFileImage(value: unknown): value is FileImage {
  if (typeof value !== "object" || value === null) return false;
  const { fields, vips, endpoints } = value as Partial<Record<keyof FileImage, unknown>>;
  return (
    isDigest(fields) &&
    Array.isArray(vips) &&
    vips.length <= VIP_COUNT_MAX &&
    vips.every(isAddress) &&
    Array.isArray(endpoints) &&
    endpoints.length <= ENDPOINT_COUNT_MAX &&
    endpoints.every(isDigest)
  );
}

function isDigest(value: unknown): value is string {
  return typeof value === "string" && value.length <= DIGEST_LENGTH_MAX && /^[0-9a-f]+$/.test(value);
}

export function isEndpointValue(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { weight, state, healthCheck, addresses, leaving } = value as Partial<
    Record<keyof Endpoint | "leaving", unknown>
  >;
  return (
    (leaving === undefined || isRemoval(leaving)) &&
    (addresses === undefined || isAddressList(addresses)) &&
    Number.isInteger(weight) &&
    (weight as number) >= 0 &&
    (weight as number) <= WEIGHT_MAX &&
    (state === "active" || state === "drain") &&
    (healthCheck === undefined || healthCheckProblem(healthCheck) === undefined)
  );
}

function isAddressList(value: unknown): boolean {
  return (
    Array.isArray(value) &&
    value.length > 1 &&
    value.length <= ADDRESS_COUNT_MAX_PER_ENDPOINT &&
    value.every(isAddress) &&
    new Set(value).size === value.length
  );
}

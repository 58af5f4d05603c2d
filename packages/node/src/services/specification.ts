// Between what an operator writes (ServiceSpec) and the domain's Service. Addresses become canonical here.
import { createHash } from "node:crypto";
import { addressesOfSpec, type EndpointSpec, type HealthCheckSpec, type ServiceSpec } from "@holdfast/api";
import {
  type Address,
  addressesOfEndpoint,
  announceProblem,
  beginningProblem,
  canonicalAddress,
  canonicalHealth,
  canonicalIdle,
  canonicalPrefix,
  ENDPOINT_COUNT_MAX,
  ENDPOINT_REMOVAL_DEFAULT,
  type Endpoint,
  type EndpointRemoval,
  familyOf,
  type HealthCheck,
  HoldfastError,
  healthCheckProblem,
  IDLE_DEFAULTS,
  NAT_PORT_POLICY_DEFAULT,
  parseAddress,
  protocolOf,
  protocolProblem,
  REPLICATE_AFTER_DEFAULT_MS,
  REPLICATE_DEFAULT,
  type Service,
  serviceIdOf,
  sourceAddressProblem,
  withAddresses,
} from "@holdfast/model";

/** The service that a specification means. Throws SERVICE_INVALID. */
export function serviceOf(spec: ServiceSpec): Service {
  const vips = spec.vips.map(parseAddress);
  const [primary] = vips;
  if (primary === undefined) throw new HoldfastError("SERVICE_INVALID", { reason: "it has no VIP" });
  if (new Set(vips).size !== vips.length)
    throw new HoldfastError("SERVICE_INVALID", { reason: "a VIP is there twice" });
  const protocol = protocolOf(spec.protocol);
  const id = serviceIdOf(protocol, primary, spec.port);
  const { endpoints: specs } = spec;
  if (specs.length > ENDPOINT_COUNT_MAX)
    throw new HoldfastError("SERVICE_INVALID", {
      reason: `it has more than ${ENDPOINT_COUNT_MAX} endpoints`,
    });
  const endpoints: Endpoint[] = [];
  const taken = new Set<string>();
  for (const spec of specs) {
    const endpoint = endpointOf(spec);
    for (const address of addressesOfEndpoint(endpoint)) {
      const key = endpointKey(address, endpoint.port);
      if (taken.has(key))
        throw new HoldfastError("SERVICE_INVALID", { reason: `endpoint ${key} is there twice` });
      if (vips.includes(address))
        throw new HoldfastError("ENDPOINT_IS_VIP", { endpoint: address, service: id });
      taken.add(key);
    }
    if (!addressesOfEndpoint(endpoint).some((a) => vips.some((vip) => familyOf(vip) === familyOf(a))))
      throw new HoldfastError("SERVICE_INVALID", {
        reason: `endpoint ${endpointKey(endpoint.address, endpoint.port)} is IPv${familyOf(endpoint.address)}, and no VIP is`,
      });
    endpoints.push(endpoint);
  }
  return {
    id,
    name: spec.name === "" ? id : spec.name,
    protocol,
    vips,
    port: spec.port,
    selection: spec.selection,
    endpoints,
    idleTimeoutS: spec.idleTimeoutS,
    restartNewAddresses: spec.restartNewAddresses,
    clientPrefixes: spec.clientPrefixes,
    ...allowedSourcesOf(spec.allowedSources ?? []),
    withdrawWhenDown: spec.withdrawWhenDown,
    // One form of each meaning: what is the default is not written.
    ...(spec.natPort !== undefined && spec.natPort !== NAT_PORT_POLICY_DEFAULT && { natPort: spec.natPort }),
    ...beginningOf(spec, vips),
    ...healthCheckOf(spec.healthCheck),
    ...plainOf(spec, protocol),
    ...announceOf(spec.announce),
    endpointRemoval: { ...endpointRemovalOf(spec) },
  };
}

/** In one order and without repetition; nothing where anybody may come. Throws SERVICE_INVALID. */
function allowedSourcesOf(texts: readonly string[]): Pick<Service, "allowedSources"> {
  const prefixes = texts.map((text) => {
    const prefix = canonicalPrefix(text);
    if (prefix === undefined)
      throw new HoldfastError("SERVICE_INVALID", { reason: `allowedSources: '${text}' is not a prefix` });
    return prefix;
  });
  return prefixes.length === 0 ? {} : { allowedSources: [...new Set(prefixes)].sort() };
}

/** What a service says about endpoints that begin, or nothing. Throws SERVICE_INVALID. */
function beginningOf(
  spec: ServiceSpec,
  vips: readonly Address[],
): Pick<Service, "endpointsMayBegin" | "peers"> {
  const { endpointsMayBegin = false } = spec;
  const peers = (spec.peers ?? []).map(parseAddress);
  const reason = beginningProblem({ endpointsMayBegin, peers, vips });
  if (reason !== undefined) throw new HoldfastError("SERVICE_INVALID", { reason });
  return { ...(endpointsMayBegin && { endpointsMayBegin }), ...(peers.length > 0 && { peers }) };
}

/** What a service of TCP or UDP says of its flows, defaults left out. Throws SERVICE_INVALID. */
function plainOf(
  spec: ServiceSpec,
  protocol: Service["protocol"],
): Pick<
  Service,
  "idle" | "replicate" | "replicateAfterMs" | "proxyProtocol" | "stateless" | "sourceAddresses"
> {
  const sourceAddresses = sourcesOf(spec);
  const reason =
    protocolProblem({ ...withoutDefaults(spec), protocol, sourceAddresses }) ??
    sourceAddressProblem(sourceAddresses, spec.vips.map(parseAddress));
  if (reason !== undefined) throw new HoldfastError("SERVICE_INVALID", { reason });
  const { idle, replicate, replicateAfterMs, proxyProtocol, stateless } = withoutDefaults(spec);
  return {
    ...(idle !== undefined && { idle: canonicalIdle(idle) }),
    ...(replicate !== undefined && { replicate }),
    ...(replicateAfterMs !== undefined && { replicateAfterMs }),
    ...(proxyProtocol === true && { proxyProtocol }),
    ...(stateless === true && { stateless }),
    ...(sourceAddresses !== undefined && { sourceAddresses }),
  };
}

/** An empty list says nothing. */
function sourcesOf({ sourceAddresses = [] }: ServiceSpec): readonly Address[] | undefined {
  return sourceAddresses.length === 0 ? undefined : sourceAddresses.map(parseAddress);
}

/** Defaults that a validator has filled in say nothing. */
function withoutDefaults(spec: ServiceSpec): ServiceSpec {
  const { idle, replicate, replicateAfterMs, ...rest } = spec;
  const own = Object.entries(idle ?? {}).filter(
    ([name, value]) => IDLE_DEFAULTS[name as keyof typeof IDLE_DEFAULTS] !== value,
  );
  return {
    ...rest,
    ...(own.length > 0 && { idle: Object.fromEntries(own) }),
    ...(replicate !== undefined && replicate !== REPLICATE_DEFAULT && { replicate }),
    ...(replicateAfterMs !== undefined &&
      replicateAfterMs !== REPLICATE_AFTER_DEFAULT_MS && { replicateAfterMs }),
  };
}

/** What a service says of its routes, or nothing. Throws SERVICE_INVALID. */
function announceOf(spec: ServiceSpec["announce"]): Pick<Service, "announce"> {
  if (spec === undefined || Object.keys(spec).length === 0) return {};
  const reason = announceProblem(spec);
  if (reason !== undefined) throw new HoldfastError("SERVICE_INVALID", { reason });
  return { announce: spec };
}

/** The field of a service or an endpoint, or nothing. Throws SERVICE_INVALID. */
function healthCheckOf(spec: HealthCheckSpec | undefined): { healthCheck?: HealthCheck } {
  if (spec === undefined) return {};
  const reason = healthCheckProblem(spec);
  if (reason !== undefined) throw new HoldfastError("SERVICE_INVALID", { reason });
  return { healthCheck: canonicalHealth(spec as HealthCheck) };
}

/** The specification that an endpoint came from. */
export function specOfEndpoint({ addresses, ...rest }: Endpoint): EndpointSpec {
  return { ...rest, ...(addresses !== undefined && { addresses: [...addresses] }) };
}

/** `endpointKey` of what a specification means. */
export function keyOfSpec(spec: EndpointSpec): string {
  return endpointKey(addressesOfSpec(spec)[0] ?? "", spec.port);
}

/** The endpoint that a specification means. Throws SERVICE_INVALID. */
function endpointOf(spec: EndpointSpec): Endpoint {
  const { address: _, addresses: texts, healthCheck, ...rest } = spec;
  const addresses = addressesOfSpec(spec).map(parseAddress);
  const [identity] = addresses;
  if (identity === undefined)
    throw new HoldfastError("SERVICE_INVALID", { reason: "an endpoint has neither address nor addresses" });
  if (spec.address !== undefined && parseAddress(spec.address) !== identity)
    throw new HoldfastError("SERVICE_INVALID", {
      reason: `endpoint ${spec.address} is not the first of its addresses, ${texts?.join(", ")}`,
    });
  return { address: identity, ...withAddresses(addresses), ...rest, ...healthCheckOf(healthCheck) };
}

/**
 * `ADDRESS:PORT`, `[ADDRESS]:PORT` for IPv6: how an endpoint is named everywhere. The address may be of a view
 * of the API, which is text.
 */
export function endpointKey(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Reads `endpointKey`'s text, or an address alone (port undefined). undefined when it is neither. */
export function parseEndpointKey(text: string): { address: Address; port: number | undefined } | undefined {
  const match = /^(?:\[([^\]]+)\]|([^[\]]*?))(?::(\d{1,5}))?$/.exec(text);
  const bare = text.split(":").length > 2 && !text.startsWith("[") ? text : (match?.[1] ?? match?.[2]);
  const address = bare === undefined ? undefined : canonicalAddress(bare);
  if (address === undefined) return undefined;
  const port = bare === text ? undefined : match?.[3];
  return { address, port: port === undefined ? undefined : Number(port) };
}

const listed = (check: HealthCheck | undefined) => (check === undefined ? [] : [canonicalHealth(check)]);

export function endpointRemovalOf(service: Pick<Service, "endpointRemoval">): EndpointRemoval {
  return service.endpointRemoval ?? ENDPOINT_REMOVAL_DEFAULT;
}

/** The same text whatever order the fields stand in. */
export function stable(value: unknown): string | undefined {
  return JSON.stringify(value, (_key, field: unknown) =>
    typeof field === "object" && field !== null && !Array.isArray(field)
      ? Object.fromEntries(Object.entries(field).sort(([x], [y]) => (x < y ? -1 : 1)))
      : field,
  );
}

/** Short text that changes with the service: its ETag. The same at every member. */
export function revisionOf(service: Service): string {
  const canonical = JSON.stringify([
    service.id,
    service.name,
    service.vips,
    service.port,
    service.selection,
    // Whoever wrote them in which order: members list them by their addresses.
    service.endpoints
      .map((e) => [
        endpointKey(e.address, e.port),
        e.weight,
        e.state,
        ...(e.addresses ?? []),
        ...listed(e.healthCheck),
      ])
      .sort(([x], [y]) => (String(x) < String(y) ? -1 : 1)),
    service.idleTimeoutS,
    service.restartNewAddresses,
    service.clientPrefixes,
    service.withdrawWhenDown,
    ...(service.allowedSources === undefined ? [] : [["allowedSources", ...service.allowedSources]]),
    ...(service.natPort === undefined ? [] : [`natPort ${service.natPort}`]),
    ...(service.endpointsMayBegin === true ? ["endpointsMayBegin"] : []),
    ...(service.peers === undefined ? [] : [["peers", ...service.peers]]),
    ...listed(service.healthCheck),
    ...(service.idle === undefined ? [] : [stable(service.idle)]),
    ...(service.replicate === undefined ? [] : [`replicate ${service.replicate}`]),
    ...(service.replicateAfterMs === undefined ? [] : [`after ${service.replicateAfterMs}`]),
    ...(service.proxyProtocol === true ? ["proxyProtocol"] : []),
    ...(service.stateless === true ? ["stateless"] : []),
    ...(service.sourceAddresses === undefined ? [] : [["sourceAddresses", ...service.sourceAddresses]]),
    ...(service.announce === undefined ? [] : [stable(service.announce)]),
    [endpointRemovalOf(service).mode, endpointRemovalOf(service).graceS],
  ]);
  return createHash("sha256").update(canonical).digest("base64url").slice(0, 16);
}

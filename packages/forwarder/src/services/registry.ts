// The services as the slow path looks them up: by VIP and port, by endpoint, by id.
import {
  type Address,
  addressBytes,
  addressesOfEndpoint,
  type Endpoint,
  endpointKey,
  type Prefix,
  type Protocol,
  parsePrefix,
  placeOfKey,
  prefixContains,
  type Service,
  type ServiceId,
} from "@holdfast/model";
import type { ServedPort } from "../fast-path/port.ts";

export interface ServiceEntry {
  readonly service: Service;
  /** "port" → all configured addresses of its endpoints with that port. */
  readonly endpointAddresses: ReadonlyMap<number, readonly Address[]>;
  /** In the service's order: index 0 is the primary. */
  readonly vipBytes: readonly Uint8Array[];
  readonly vipIndex: ReadonlyMap<Address, number>;
  readonly clientPrefixes: readonly Prefix[];
  /** undefined: associations may begin from anywhere. */
  readonly allowedSources: readonly Prefix[] | undefined;
  readonly hasIpv4: boolean;
  readonly hasIpv6: boolean;
}

type Place = Pick<Endpoint, "address" | "port">;

const NONE: readonly Address[] = [];

interface Known {
  readonly endpoint: Endpoint;
  readonly addresses: Address[];
  /** `endpointKey` of each. */
  readonly keys: string[];
}

export class ServiceRegistry {
  #entries = new Map<ServiceId, ServiceEntry>();
  /** By VIP, then by protocol and port. */
  #byClaim = new Map<Address, Map<number, ServiceEntry>>();
  #byVip = new Map<Address, ServiceEntry[]>();
  /** "identity|port" → the endpoint and all of its addresses, in whatever services it is. */
  #endpoints = new Map<string, Known>();
  /** The same by the objects that services have: each newcomer looks at all of its service's. */
  #known = new Map<Place, Known>();
  /**
   * "address|port" → identities of the endpoints that have this address: one, or what services do not agree
   * about.
   */
  #identities = new Map<string, Address[]>();
  #ports = new Set<number>();
  /** "identity|port" → identities of other endpoints that are the same server, as its own answers say. */
  #twins: ReadonlyMap<string, readonly Address[]> = new Map();

  set(services: readonly Service[]): void {
    this.#entries = new Map();
    this.#byClaim = new Map();
    this.#byVip = new Map();
    this.#endpoints = new Map();
    this.#known = new Map();
    this.#identities = new Map();
    this.#ports = new Set();
    for (const service of services) {
      const entry = entryOf(service);
      this.#entries.set(service.id, entry);
      for (const vip of service.vips) {
        const claims = this.#byClaim.get(vip) ?? new Map<number, ServiceEntry>();
        this.#byClaim.set(vip, claims);
        claims.set(claimOf(service.protocol, service.port), entry);
        const sharing = this.#byVip.get(vip);
        if (sharing === undefined) this.#byVip.set(vip, [entry]);
        else sharing.push(entry);
      }
      for (const endpoint of placesOf(service)) this.#addEndpoint(endpoint);
    }
  }

  #addEndpoint(endpoint: Endpoint): void {
    const { address: identity, port } = endpoint;
    this.#ports.add(port);
    const key = endpointKey({ address: identity, port });
    const known = this.#endpoints.get(key) ?? { endpoint, addresses: [], keys: [] };
    this.#endpoints.set(key, known);
    this.#known.set(endpoint, known);
    for (const address of addressesOfEndpoint(endpoint)) {
      const at = endpointKey({ address, port });
      if (!known.addresses.includes(address)) {
        known.addresses.push(address);
        known.keys.push(at);
      }
      const identities = this.#identities.get(at);
      if (identities === undefined) this.#identities.set(at, [identity]);
      else if (!identities.includes(identity)) {
        // Whose identity it is comes first.
        if (identity === address) identities.unshift(identity);
        else identities.push(identity);
      }
    }
  }

  get(id: ServiceId): ServiceEntry | undefined {
    return this.#entries.get(id);
  }

  /** In the service's list, or leaving it. */
  hasEndpoint(
    id: ServiceId,
    { address, port }: { readonly address: Address; readonly port: number },
  ): boolean {
    const service = this.#entries.get(id)?.service;
    return service !== undefined && placesOf(service).some((e) => e.address === address && e.port === port);
  }

  byVip(protocol: Protocol, vip: Address, port: number): ServiceEntry | undefined {
    return this.#byClaim.get(vip)?.get(claimOf(protocol, port));
  }

  isVip(address: Address): boolean {
    return this.#byVip.has(address);
  }

  get vips(): Iterable<Address> {
    return this.#byVip.keys();
  }

  get entries(): IterableIterator<ServiceEntry> {
    return this.#entries.values();
  }

  /**
   * The identity of the endpoint, of whatever service, that has this address; undefined: nobody configured
   * it.
   */
  endpointAddress(address: Address, port: number): Address | undefined {
    return this.#identities.get(endpointKey({ address, port }))?.[0];
  }

  /**
   * Identities under which sessions of the server at this address may be known: its own, then those of its
   * twins.
   */
  identitiesOf(address: Address, port: number): readonly Address[] {
    const identities = this.#identities.get(endpointKey({ address, port }));
    if (identities === undefined) return NONE;
    if (this.#twins.size === 0) return identities;
    const all = new Set(identities);
    for (const identity of identities)
      for (const twin of this.twinsOf({ address: identity, port })) all.add(twin);
    return [...all];
  }

  /** Whether some endpoint has this port. */
  isEndpointPort(port: number): boolean {
    return this.#ports.has(port);
  }

  /**
   * Identities of the endpoints with this port behind a VIP: a session's endpoint may speak from an address
   * of its own.
   */
  *identitiesBehind(vip: Address, port: number): Generator<Address> {
    for (const { service } of this.#byVip.get(vip) ?? [])
      for (const endpoint of placesOf(service)) if (endpoint.port === port) yield endpoint.address;
  }

  /**
   * Identities of all endpoints that are in a service with the one at this address: its sessions may have the
   * address.
   */
  identitiesBeside(address: Address, port: number): ReadonlySet<Address> {
    const identities = new Set<Address>();
    for (const { service, endpointAddresses } of this.#entries.values()) {
      if (endpointAddresses.get(port)?.includes(address) !== true) continue;
      for (const endpoint of placesOf(service)) if (endpoint.port === port) identities.add(endpoint.address);
    }
    return identities;
  }

  /** An endpoint's configured addresses, the identity first. */
  configuredOf(endpoint: Place): readonly Address[] {
    return this.#knownOf(endpoint)?.addresses ?? [endpoint.address];
  }

  /** `endpointKey` of each of them. */
  configuredKeysOf(endpoint: Place): readonly string[] {
    return this.#knownOf(endpoint)?.keys ?? [endpointKey(endpoint)];
  }

  #knownOf(endpoint: Place): Known | undefined {
    return this.#known.get(endpoint) ?? this.#endpoints.get(endpointKey(endpoint));
  }

  /** All configured addresses of the server, the identity first; of its twins, too. */
  addressesOf(endpoint: Place): readonly Address[] {
    const own = this.configuredOf(endpoint);
    const twins = this.twinsOf(endpoint);
    if (twins.length === 0) return own;
    const all = new Set(own);
    for (const address of twins)
      for (const each of this.configuredOf({ address, port: endpoint.port })) all.add(each);
    return [...all];
  }

  /**
   * Identities whose NAT ports must differ from this endpoint's: they share an address, or are one server.
   */
  sharingPorts(endpoint: Place): readonly Address[] {
    const own = this.configuredOf(endpoint);
    const others = new Set(this.twinsOf(endpoint));
    for (const address of own)
      for (const identity of this.#identities.get(endpointKey({ address, port: endpoint.port })) ?? NONE)
        if (identity !== endpoint.address) others.add(identity);
    return others.size === 0 ? NONE : [...others];
  }

  /** Identities of the other endpoints that are this one's server. */
  twinsOf(endpoint: Place): readonly Address[] {
    if (this.#twins.size === 0) return NONE;
    return this.#twins.get(endpointKey(endpoint)) ?? NONE;
  }

  /** By "identity|port"; what is not an endpoint is left out by whoever asks. */
  setTwins(twins: ReadonlyMap<string, readonly Address[]>): void {
    this.#twins = twins;
  }

  /** Every configured endpoint once, whatever services have it. */
  get endpoints(): readonly Endpoint[] {
    return [...this.#endpoints.values()].map(({ endpoint }) => endpoint);
  }

  /** All configured addresses of all endpoints, for the fast path and for probes. */
  endpointList(): { address: Address; port: number }[] {
    return [...this.#identities.keys()].map(placeOfKey);
  }
}

/** The endpoints in a service's list, then those that leave it, which take nothing new. */
export function placesOf({ endpoints, leaving = [] }: Service): readonly Endpoint[] {
  if (leaving.length === 0) return endpoints;
  return [...endpoints, ...leaving.map((endpoint): Endpoint => ({ ...endpoint, weight: 0, state: "drain" }))];
}

function entryOf(service: Service): ServiceEntry {
  const vipBytes = service.vips.map((vip) => addressBytes(vip));
  const endpointAddresses = new Map<number, Address[]>();
  for (const endpoint of placesOf(service)) {
    const list = endpointAddresses.get(endpoint.port) ?? [];
    list.push(...addressesOfEndpoint(endpoint));
    endpointAddresses.set(endpoint.port, list);
  }
  return {
    service,
    endpointAddresses,
    vipBytes,
    vipIndex: new Map(service.vips.map((vip, index) => [vip, index])),
    clientPrefixes: prefixesOf(service.clientPrefixes),
    allowedSources: service.allowedSources && prefixesOf(service.allowedSources),
    hasIpv4: vipBytes.some((bytes) => bytes.length === 4),
    hasIpv6: vipBytes.some((bytes) => bytes.length === 16),
  };
}

function prefixesOf(texts: readonly string[]): readonly Prefix[] {
  return texts.map((text) => parsePrefix(text)).filter((prefix) => prefix !== undefined);
}

/** Whether an association with this client address may begin. */
export function isAllowedSource({ allowedSources }: ServiceEntry, address: Uint8Array | Address): boolean {
  return allowedSources?.some((prefix) => prefixContains(prefix, address)) !== false;
}

/** The service's port as the fast path serves it at a VIP. */
export function servedPort({ service, allowedSources }: ServiceEntry, vip: Address): ServedPort {
  const { protocol, port } = service;
  if (allowedSources === undefined) return { protocol, port };
  const size = addressBytes(vip).length;
  return { protocol, port, allowedSources: allowedSources.filter(({ bytes }) => bytes.length === size) };
}

/** A number, since every packet that comes to the slow path asks. */
function claimOf(protocol: Protocol, port: number): number {
  return protocol * 0x1_0000 + port;
}

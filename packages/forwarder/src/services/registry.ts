// The services as the slow path looks them up: by VIP and port, by endpoint, by id.
import { type Address, addressBytes, type Endpoint, type Service, type ServiceId } from "@holdfast/model";
import { type Prefix, parsePrefix } from "./prefix.ts";

export interface ServiceEntry {
  readonly service: Service;
  /** In the service's order: index 0 is the primary. */
  readonly vipBytes: readonly Uint8Array[];
  readonly vipIndex: ReadonlyMap<Address, number>;
  readonly clientPrefixes: readonly Prefix[];
  readonly hasIpv4: boolean;
  readonly hasIpv6: boolean;
}

/** Aliases learned from INIT-ACKs of one endpoint (its further addresses) are bounded with the record's list. */
const ALIAS_COUNT_MAX = 4_096;

export class ServiceRegistry {
  #entries = new Map<ServiceId, ServiceEntry>();
  #byVipPort = new Map<string, ServiceEntry>();
  #vips = new Set<Address>();
  #endpoints = new Map<string, Endpoint>();
  /** "alias|port" → the configured endpoint's address. */
  readonly #aliases = new Map<string, Address>();

  set(services: readonly Service[]): void {
    this.#entries = new Map();
    this.#byVipPort = new Map();
    this.#vips = new Set();
    this.#endpoints = new Map();
    for (const service of services) {
      const entry = entryOf(service);
      this.#entries.set(service.id, entry);
      for (const vip of service.vips) {
        this.#vips.add(vip);
        this.#byVipPort.set(addressPort(vip, service.port), entry);
      }
      for (const endpoint of service.endpoints) {
        this.#endpoints.set(addressPort(endpoint.address, endpoint.port), endpoint);
      }
    }
    for (const [key, address] of this.#aliases) {
      if (!this.#endpoints.has(addressPort(address, portOfKey(key)))) this.#aliases.delete(key);
    }
  }

  get(id: ServiceId): ServiceEntry | undefined {
    return this.#entries.get(id);
  }

  byVip(vip: Address, port: number): ServiceEntry | undefined {
    return this.#byVipPort.get(addressPort(vip, port));
  }

  isVip(address: Address): boolean {
    return this.#vips.has(address);
  }

  get vips(): ReadonlySet<Address> {
    return this.#vips;
  }

  get entries(): IterableIterator<ServiceEntry> {
    return this.#entries.values();
  }

  /** An endpoint of any service, or an alias of one: its configured address. */
  endpointAddress(address: Address, port: number): Address | undefined {
    const key = addressPort(address, port);
    return this.#endpoints.has(key) ? address : this.#aliases.get(key);
  }

  /** The configured address of an endpoint, then its aliases. */
  addressesOf(endpoint: { readonly address: Address; readonly port: number }): Address[] {
    const addresses = [endpoint.address];
    for (const [key, address] of this.#aliases) {
      if (address !== endpoint.address || portOfKey(key) !== endpoint.port) continue;
      addresses.push(key.slice(0, key.lastIndexOf("|")));
    }
    return addresses;
  }

  /** Every configured endpoint once, whatever services have it. */
  get endpoints(): IterableIterator<Endpoint> {
    return this.#endpoints.values();
  }

  /** Remembers a further address of an endpoint. false: nothing new, or no room. */
  addAlias(alias: Address, port: number, endpoint: Address): boolean {
    const key = addressPort(alias, port);
    if (this.#endpoints.has(key) || this.#aliases.get(key) === endpoint) return false;
    if (this.#aliases.size >= ALIAS_COUNT_MAX || this.#vips.has(alias)) return false;
    this.#aliases.set(key, endpoint);
    return true;
  }

  /** Endpoints and their aliases, for the fast path. */
  endpointList(): { address: Address; port: number }[] {
    const list = [...this.#endpoints.values()].map(({ address, port }) => ({ address, port }));
    for (const key of this.#aliases.keys()) {
      list.push({ address: key.slice(0, key.lastIndexOf("|")), port: portOfKey(key) });
    }
    return list;
  }
}

function entryOf(service: Service): ServiceEntry {
  const vipBytes = service.vips.map((vip) => addressBytes(vip));
  return {
    service,
    vipBytes,
    vipIndex: new Map(service.vips.map((vip, index) => [vip, index])),
    clientPrefixes: service.clientPrefixes.map((text) => parsePrefix(text)).filter((p) => p !== undefined),
    hasIpv4: vipBytes.some((bytes) => bytes.length === 4),
    hasIpv6: vipBytes.some((bytes) => bytes.length === 16),
  };
}

function addressPort(address: Address, port: number): string {
  return `${address}|${port}`;
}

function portOfKey(key: string): number {
  return Number(key.slice(key.lastIndexOf("|") + 1));
}

// The machine's interfaces, addresses and neighbours, kept as the kernel tells of changes.
import {
  InterfaceSelection,
  isEthernet,
  type Link,
  type InterfaceAddress as LinkAddress,
  type LoopInterfaces,
  type Neighbour,
  Netlink,
} from "@holdfast/forwarder";
import { type Address, addressBytes, type Clock, familyOf, type Logger } from "@holdfast/model";
import {
  type HostAddress,
  type HostGateway,
  type InterfaceAddress,
  isNodesOwn,
  type SystemInterface,
} from "./interfaces.ts";

/** Listeners hear of a burst of events once, so much later at most. */
const SETTLE_MS = 5;
/** Addresses whose route is remembered; at the maximum all are forgotten. */
const ROUTED_COUNT_MAX = 4_096;
/**
 * Shorter prefixes are default routes, or halves of one (0.0.0.0/1, as VPNs have them): no private range is
 * that large (10.0.0.0/8, fc00::/7).
 */
const PREFIX_LENGTH_LEAST_IPV4 = 8;
const PREFIX_LENGTH_LEAST_IPV6 = 7;
/** A router's routes change all the time; its default routes are looked for so often at most. */
const GATEWAYS_PERIOD_MS = 1_000;

export class NetworkWatch {
  readonly #every: InterfaceSelection;
  /** Interfaces that are no way to anybody: this host's loop. */
  readonly #apart: ReadonlySet<string>;
  readonly #netlink = new Netlink();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<() => void>();
  #links = new Map<number, Link>();
  #addresses: readonly LinkAddress[] = [];
  /** By interface index and address. */
  #neighbours = new Map<string, Uint8Array>();
  /** Answers of `#routesTo`, until a route, link or address changes. */
  readonly #routed = new Map<Address, readonly number[]>();
  #gateways: readonly { readonly interfaceIndex: number; readonly address: Address }[] = [];
  #gatewaysAtMs = Number.NEGATIVE_INFINITY;
  #routesChanged = true;
  #version = 0;
  #pending = false;

  /** `loop`: interfaces that lead to this host alone. Throws NETLINK_REFUSED. */
  constructor(clock: Clock, logger: Logger, loop?: LoopInterfaces) {
    this.#every = new InterfaceSelection([]);
    this.#apart = new Set(loop === undefined ? [] : [loop.near, loop.far]);
    this.#clock = clock;
    this.#logger = logger;
    this.#readAll();
    this.#netlink.follow((event) => {
      if (event.kind !== "neighbour") this.#routed.clear();
      if (event.kind !== "neighbour" && event.kind !== "route") this.#version += 1;
      switch (event.kind) {
        case "link": {
          const before = this.#links.get(event.link.index);
          if (event.removed) this.#links.delete(event.link.index);
          else this.#links.set(event.link.index, event.link);
          if (before?.carrier !== event.link.carrier || before?.up !== event.link.up || event.removed)
            this.#logger.info(
              {
                interface: event.link.name,
                up: event.link.up,
                carrier: event.link.carrier,
                removed: event.removed,
              },
              "interface changed",
            );
          break;
        }
        case "address":
          this.#addresses = this.#netlink.addresses();
          break;
        case "neighbour": {
          const { neighbour, removed } = event;
          const key = `${neighbour.interfaceIndex} ${neighbour.address}`;
          if (removed || neighbour.mac === undefined) this.#neighbours.delete(key);
          else this.#neighbours.set(key, neighbour.mac);
          break;
        }
        case "route":
          this.#routesChanged = true;
          break;
        case "overrun":
          this.#routesChanged = true;
          this.#readAll();
          break;
      }
      this.#changed();
    });
  }

  /** Ethernet interfaces that are up and have carrier, by name; the loopback is none. */
  interfaces(): Map<string, SystemInterface> {
    const found = new Map<string, SystemInterface>();
    for (const link of this.#links.values())
      if (!link.loopback && link.up && link.carrier) found.set(link.name, this.#interfaceOf(link));
    return found;
  }

  /**
   * Every address of this network namespace, on whatever interface in whatever state, loopback and VRFs
   * included.
   */
  hostAddresses(): HostAddress[] {
    return this.#addresses.map(({ interfaceIndex, address, prefixLength }) => ({
      address,
      prefixLength,
      interface: this.#links.get(interfaceIndex)?.name ?? "",
    }));
  }

  /** Next hops of default routes, at most a second old. */
  defaultGateways(): HostGateway[] {
    const nowMs = this.#clock.nowMs();
    if (this.#routesChanged && nowMs - this.#gatewaysAtMs >= GATEWAYS_PERIOD_MS) {
      this.#routesChanged = false;
      this.#gatewaysAtMs = nowMs;
      this.#gateways = this.#netlink.defaultGateways();
    }
    return this.#gateways.map(({ interfaceIndex, address }) => ({
      address,
      interface: this.#links.get(interfaceIndex)?.name ?? "",
    }));
  }

  /** Changes with everything that `interfaces` and `usable` tell. */
  get version(): number {
    return this.#version;
  }

  /**
   * Names of those that can carry clients and endpoints, whether or not they have carrier; for patterns to
   * choose from.
   */
  usable(): readonly string[] {
    return [...this.#links.values()]
      .filter(
        (link) =>
          isEthernet(link) &&
          this.#isOwn(link) &&
          this.#every.wants(link, (index) => this.#links.get(index), true),
      )
      .map(({ name }) => name);
  }

  /** Without a loop all are. */
  #isOwn(link: Link): boolean {
    if (this.#apart.size === 0) return true;
    if (this.#apart.has(link.name)) return false;
    const addresses = this.#addresses.filter(({ interfaceIndex }) => interfaceIndex === link.index);
    const ports = [...this.#links.values()].filter(({ master }) => master === link.index);
    return isNodesOwn(
      link,
      addresses.map(({ address }) => address),
      ports,
    );
  }

  /** Whatever its state; undefined: there is none of that name. */
  link(name: string): Link | undefined {
    for (const link of this.#links.values()) if (link.name === name) return link;
    return undefined;
  }

  /**
   * Interface and MAC by which an address on a link of ours is reached. Asks the kernel to resolve it when it
   * is not known: a later call has the answer.
   */
  hopTo(address: Address): { readonly interfaceIndex: number; readonly mac: Uint8Array } | undefined {
    const route = this.#netlink.route(address);
    if (route === undefined) return undefined;
    const next = route.gateway ?? address;
    const mac = this.#neighbours.get(`${route.interfaceIndex} ${next}`);
    if (mac !== undefined) return { interfaceIndex: route.interfaceIndex, mac };
    try {
      this.#netlink.useNeighbour(route.interfaceIndex, next);
    } catch (error) {
      this.#logger.debug({ address: next, err: error }, "neighbour cannot be resolved");
    }
    return undefined;
  }

  /** All that the kernel knows now. */
  neighbours(): readonly Neighbour[] {
    return this.#netlink.neighbours();
  }

  neighbour(interfaceIndex: number, address: Address): Neighbour | undefined {
    return this.#netlink.neighbour(interfaceIndex, address);
  }

  /**
   * Whether a route leads there, out of one of the interfaces, that somebody made for such addresses: a
   * default route leads everywhere, and says nothing about a private network.
   */
  isRoutable(address: Address, interfaces: readonly string[]): boolean {
    let found = this.#routed.get(address);
    if (found === undefined) {
      if (this.#routed.size >= ROUTED_COUNT_MAX) this.#routed.clear();
      found = this.#routesTo(address);
      this.#routed.set(address, found);
    }
    return found.some((index) => interfaces.includes(this.#links.get(index)?.name ?? ""));
  }

  /** Interfaces by which the address is reached on purpose, in the main tables and those of VRFs. */
  #routesTo(address: Address): readonly number[] {
    const least = familyOf(address) === 4 ? PREFIX_LENGTH_LEAST_IPV4 : PREFIX_LENGTH_LEAST_IPV6;
    const devices = [...this.#links.values()].filter(({ kind }) => kind === "vrf").map(({ index }) => index);
    return [undefined, ...devices].flatMap((device) => {
      const route = this.#netlink.matchedRoute(address, device);
      return route === undefined || route.prefixLength < least ? [] : route.interfaceIndexes;
    });
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#listeners.clear();
    this.#netlink.close();
  }

  #readAll(): void {
    this.#links = new Map(this.#netlink.links().map((link) => [link.index, link]));
    this.#addresses = this.#netlink.addresses();
    this.#neighbours = new Map();
    for (const { interfaceIndex, address, mac } of this.#netlink.neighbours())
      if (mac !== undefined) this.#neighbours.set(`${interfaceIndex} ${address}`, mac);
  }

  #changed(): void {
    if (this.#pending) return;
    this.#pending = true;
    this.#clock.after(SETTLE_MS, () => {
      this.#pending = false;
      for (const listener of [...this.#listeners]) listener();
    });
  }

  #interfaceOf(link: Link): SystemInterface {
    const addresses = this.#addresses
      .filter(({ interfaceIndex, address }) => interfaceIndex === link.index && !address.startsWith("fe80:"))
      .map(
        ({ address, prefixLength }): InterfaceAddress => ({
          address,
          prefix: { bytes: addressBytes(address), bitCount: prefixLength },
        }),
      );
    return { name: link.name, index: link.index, mac: link.mac, addresses };
  }
}

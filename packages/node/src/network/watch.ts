// The machine's interfaces, addresses and neighbours, kept as the kernel tells of changes.
import {
  type Link,
  type InterfaceAddress as LinkAddress,
  type Neighbour,
  Netlink,
} from "@holdfast/forwarder";
import { type Address, addressBytes, type Clock, type Logger } from "@holdfast/model";
import type { InterfaceAddress, SystemInterface } from "./interfaces.ts";

/** Listeners hear of a burst of events once, so much later at most. */
const SETTLE_MS = 5;

export class NetworkWatch {
  readonly #netlink = new Netlink();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #listeners = new Set<() => void>();
  #links = new Map<number, Link>();
  #addresses: readonly LinkAddress[] = [];
  /** By interface index and address. */
  #neighbours = new Map<string, Uint8Array>();
  #pending = false;

  /** Throws NETLINK_REFUSED. */
  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
    this.#readAll();
    this.#netlink.follow((event) => {
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
          break;
        case "overrun":
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

  /** Whatever its state; undefined: there is none of that name. */
  link(name: string): Link | undefined {
    for (const link of this.#links.values()) if (link.name === name) return link;
    return undefined;
  }

  /**
   * Interface and MAC by which an address on a link of ours is reached. Asks the kernel to resolve it when it is not
   * known: a later call has the answer.
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

  /** Whether a route leads there. */
  isRoutable(address: Address): boolean {
    return this.#netlink.route(address) !== undefined;
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
          prefix: { bytes: addressBytes(address), length: prefixLength },
        }),
      );
    return { name: link.name, index: link.index, mac: link.mac, addresses };
  }
}

// Which way packets of a VIP go: the kernel's answer for (source, destination, VRF), as its rules have it.
//
// IPv4 is asked with the source only where a rule asks for it: everywhere else one answer serves all VIPs,
// and no setting of the kernel is touched.
import { type Address, addressFromBytes, familyOf, type Logger } from "@holdfast/model";
import { type Link, LOOPBACK_INDEX, type Route } from "./messages.ts";
import type { Netlink, NetlinkEvent } from "./netlink.ts";
import { InterfaceSelection, KIND_VRF } from "./selection.ts";

/** Towards endpoints, or towards clients. */
export type Direction = "up" | "down";

/** By direction: names and patterns of the interfaces on which endpoints, or clients, are met. Empty: any. */
export type Towards = Readonly<Record<Direction, readonly string[]>>;

export const ANYWHERE: Towards = { up: [], down: [] };

export interface Found extends Route {
  /** Index of the VRF device in whose table it stands; undefined: none. */
  readonly vrf: number | undefined;
}

/** No VRF. */
const NO_VRF = 0;

export class RouteFinder {
  readonly #netlink: Netlink;
  readonly #log: Logger;
  readonly #selections: Readonly<Record<Direction, InterfaceSelection>>;
  readonly #links = new Map<number, Link>();
  readonly #loop: string | undefined;
  #askSource4 = false;
  #askSource6 = false;
  /** VRFs in which endpoints, or clients, are met; NO_VRF first. */
  #vrfs: Readonly<Record<Direction, readonly number[]>> = { up: [NO_VRF], down: [NO_VRF] };
  /** Interfaces that were told to forward. */
  readonly #forwarding = new Set<number>();
  #saidRefused = false;

  /** `loop`: the interface out of which packets come to this host's own stack; undefined: there is none. */
  constructor(netlink: Netlink, log: Logger, towards: Towards, loop?: string) {
    this.#netlink = netlink;
    this.#loop = loop;
    this.#log = log;
    this.#selections = {
      up: new InterfaceSelection(towards.up),
      down: new InterfaceSelection(towards.down),
    };
    this.#readLinks();
    this.#readRules();
  }

  /** Neither rules nor VRFs: the destination decides alone. */
  get isPlain(): boolean {
    const { up, down } = this.#vrfs;
    return !this.#askSource4 && !this.#askSource6 && [...up, ...down].every((vrf) => vrf === NO_VRF);
  }

  /** What an answer may depend on: equal for packets that go the same way. */
  keyOf(source: Address, destination: Address, direction: Direction): string {
    // IPv6 has routes for a source, without any rule.
    const part = this.#askSource4 || familyOf(destination) === 6 ? source : "";
    const vrfs = this.#vrfs[direction];
    return `${vrfs.length === 1 && vrfs[0] === NO_VRF ? "" : direction} ${part} ${destination}`;
  }

  /** undefined: no way, or it is this host's own address and there is no loop. */
  find(source: Address, destination: Address, direction: Direction): Found | undefined {
    for (const each of this.#vrfs[direction]) {
      const vrf = each === NO_VRF ? undefined : each;
      const route = this.#ask(source, destination, vrf);
      if (route !== undefined) return { ...route, vrf };
    }
    return this.#byLoop(destination);
  }

  /** Whether it is the loop: every packet that leaves by it is for the other end, whatever its address. */
  isLoop(interfaceIndex: number): boolean {
    return this.#loop !== undefined && this.#links.get(interfaceIndex)?.name === this.#loop;
  }

  /** Bytes of the largest IP packet on the way. */
  mtuOf({ interfaceIndex, mtu }: Route): number {
    return Math.min(mtu ?? Number.POSITIVE_INFINITY, this.#links.get(interfaceIndex)?.mtu ?? 0);
  }

  /** The VRF's device in which the slow path sends a packet; 0: none. `endpoints`: what lies up. */
  deviceFor(source: Uint8Array, destination: Uint8Array, endpoints: ReadonlySet<Address>): number {
    const { up, down } = this.#vrfs;
    if (up.length === 1 && down.length === 1 && up[0] === NO_VRF && down[0] === NO_VRF) return NO_VRF;
    const to = addressFromBytes(destination);
    const found = this.find(addressFromBytes(source), to, endpoints.has(to) ? "up" : "down");
    return found?.vrf ?? NO_VRF;
  }

  /** The VRF's device in which the daemon itself sends to an endpoint; 0: none. */
  deviceUp(destination: Address): number {
    const { up } = this.#vrfs;
    if (up.length === 1 && up[0] === NO_VRF) return NO_VRF;
    const vrf = up.find((each) => {
      return this.#netlink.routeOf({ destination, vrf: each === NO_VRF ? undefined : each }) !== undefined;
    });
    return vrf ?? NO_VRF;
  }

  /** true: answers may be others now. */
  handle(event: NetlinkEvent): boolean {
    switch (event.kind) {
      case "neighbour":
        return false;
      case "link":
        return this.#linkChanged(event.link, event.removed);
      case "overrun":
        this.#readLinks();
        this.#readRules();
        return true;
      case "rule":
        this.#readRules();
        return true;
      case "route":
      case "address":
        return true;
    }
  }

  #byLoop(destination: Address): Found | undefined {
    if (this.#loop === undefined || !this.#netlink.isLocal(destination)) return undefined;
    for (const { index, name } of this.#links.values())
      if (name === this.#loop)
        return { interfaceIndex: index, gateway: undefined, mtu: undefined, vrf: undefined };
    return undefined;
  }

  #ask(source: Address, destination: Address, vrf: number | undefined): Route | undefined {
    if (familyOf(destination) === 6) return this.#netlink.routeOf({ source, destination, vrf });
    if (!this.#askSource4) return this.#netlink.routeOf({ destination, vrf });
    this.#letForward(vrf ?? LOOPBACK_INDEX);
    const route = this.#netlink.routeFrom({ source, destination, vrf });
    if (route !== "refused") return route;
    if (!this.#saidRefused) {
      this.#saidRefused = true;
      this.#log.warn(
        { source, destination },
        "rules ask for sources, and the kernel does not answer for this one: is net.ipv4.conf.all.rp_filter 1?",
      );
    }
    return this.#netlink.routeOf({ destination, vrf });
  }

  #letForward(interfaceIndex: number): void {
    if (this.#forwarding.has(interfaceIndex)) return;
    this.#forwarding.add(interfaceIndex);
    this.#netlink.letForward(interfaceIndex);
    this.#log.info(
      { interface: this.#links.get(interfaceIndex)?.name },
      "rules ask for sources: IPv4 forwarding is on there, without which the kernel answers for its own addresses only",
    );
  }

  #linkChanged(link: Link, removed: boolean): boolean {
    const before = this.#links.get(link.index);
    if (removed) {
      this.#links.delete(link.index);
      this.#forwarding.delete(link.index);
    } else this.#links.set(link.index, link);
    if (!removed && before !== undefined && before.master === link.master) return false;
    this.#readVrfs();
    return true;
  }

  #readLinks(): void {
    this.#links.clear();
    for (const link of this.#netlink.links()) this.#links.set(link.index, link);
    this.#readVrfs();
  }

  #readRules(): void {
    const { ipv4, ipv6 } = this.#netlink.rulesAskForSources();
    this.#askSource4 = ipv4;
    this.#askSource6 = ipv6;
    this.#saidRefused = false;
  }

  #readVrfs(): void {
    this.#vrfs = { up: this.#vrfsTowards("up"), down: this.#vrfsTowards("down") };
  }

  #vrfsTowards(direction: Direction): readonly number[] {
    const found = new Set<number>();
    const linkOf = (index: number) => this.#links.get(index);
    for (const link of this.#links.values()) {
      if (!this.#selections[direction].wants(link, linkOf, true)) continue;
      const master = link.master === undefined ? undefined : linkOf(link.master);
      found.add(master?.kind === KIND_VRF ? master.index : NO_VRF);
    }
    return found.size === 0 ? [NO_VRF] : [...found].sort((a, b) => a - b);
  }
}

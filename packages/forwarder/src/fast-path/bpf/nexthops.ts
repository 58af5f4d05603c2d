// Next hops: the daemon looks routes and neighbours up, so that the programs need not (fib_lookup costs a third of the
// fast path). An entry is a neighbour: everything behind one gateway shares one.
//
// Entry 0 is never resolved: flows of a destination without a route, or beyond the table's size, have it, and their
// packets go the slow way. An entry that no flow has any more is given back (nexthop-numbers.ts).

import { type Address, addressBytes, addressFromBytes, familyOf } from "@holdfast/model";
import { libbpf } from "../../kernel/libbpf.ts";
import type { Link, Neighbour, Route } from "../../netlink/messages.ts";
import type { Netlink, NetlinkEvent } from "../../netlink/netlink.ts";
import type { Direction, RouteFinder } from "../../netlink/route-finder.ts";
import { LIMITS, NEXTHOP, NEXTHOP_FLAG } from "./abi.ts";
import type { KernelClock } from "./kernel-clock.ts";
import { NexthopNumbers } from "./nexthop-numbers.ts";

export const UNRESOLVED = 0;
/** Destinations remembered; beyond, the one remembered longest is looked up again when it is needed. */
export const DESTINATION_COUNT_MAX = 262_144;
/** A neighbour that the fast path used within this time is confirmed when it goes stale. */
const USED_WITHIN_MS = 60_000;

/** How packets may leave by an interface. */
export interface Ways {
  /** Whether XDP may send to it. */
  mayTransmit(link: Link): boolean;
  /** Whether they may be handed to its other end. */
  mayCross(link: Link): boolean;
}

interface Entry {
  readonly index: number;
  readonly interfaceIndex: number;
  readonly neighbour: Address;
  mtu: number | undefined;
  mac: Uint8Array | undefined;
  stale: boolean;
  /** Its number may mean another neighbour by now. */
  isFreed: boolean;
}

export class NexthopTable {
  /** Called when routes have changed and flows may have to point elsewhere. */
  onRoutesChanged: () => void = () => {};
  /** Lookups that found the table full. */
  fullCount = 0;
  readonly #fd: number;
  readonly #netlink: Netlink;
  readonly #clock: KernelClock;
  readonly #nowMs: () => number;
  readonly #ways: Ways;
  readonly #links = new Map<number, Link>();
  readonly #entries = new Map<string, Entry>();
  readonly #neighbours = new Map<string, Neighbour>();
  readonly #routes: RouteFinder;
  /** By what the kernel's answer depends on; null: there is no route. */
  readonly #destinations = new Map<string, Entry | null>();
  readonly #numbers = new NexthopNumbers();

  /** `adopted`: the map holds what an earlier daemon wrote, and flows that point into it. */
  constructor(
    fd: number,
    netlink: Netlink,
    clock: KernelClock,
    nowMs: () => number,
    adopted: boolean,
    ways: Ways,
    routes: RouteFinder,
  ) {
    this.#routes = routes;
    this.#ways = ways;
    this.#fd = fd;
    this.#netlink = netlink;
    this.#clock = clock;
    this.#nowMs = nowMs;
    this.#readAll();
    if (adopted) this.#adopt();
  }

  /** Bytes of the largest packet there; undefined: no way is known. */
  mtuTowards(source: Address, destination: Address, direction: Direction): number | undefined {
    if (this.indexOf(source, destination, direction) === UNRESOLVED) return undefined;
    const entry = this.#destinations.get(this.#routes.keyOf(source, destination, direction));
    if (entry === undefined || entry === null) return undefined;
    const link = this.#links.get(entry.interfaceIndex);
    return link && Math.min(entry.mtu ?? Number.POSITIVE_INFINITY, link.mtu);
  }

  /** The entry for packets from the VIP to the destination. */
  indexOf(source: Address, destination: Address, direction: Direction): number {
    const key = this.#routes.keyOf(source, destination, direction);
    const known = this.#destinations.get(key);
    if (known !== undefined && known?.isFreed !== true) return known?.index ?? UNRESOLVED;
    const route = this.#routes.find(source, destination, direction);
    const entry = route === undefined ? undefined : this.#entryOf(route, route.gateway ?? destination);
    if (this.#destinations.size >= DESTINATION_COUNT_MAX) {
      const [oldest] = this.#destinations.keys();
      this.#destinations.delete(oldest as string);
    }
    // That the table is full is no answer for ever.
    if (route === undefined || entry !== undefined) this.#destinations.set(key, entry ?? null);
    return entry?.index ?? UNRESOLVED;
  }

  /** A flow has the number now. */
  hold(index: number): void {
    this.#numbers.hold(index);
  }

  /** A flow that had it has it no more. */
  release(index: number): void {
    this.#numbers.release(index, this.#nowMs());
  }

  /** How many entries there are. */
  get size(): number {
    return this.#numbers.size;
  }

  handle(event: NetlinkEvent): void {
    const routesChanged = this.#routes.handle(event);
    switch (event.kind) {
      case "link":
        this.#linkChanged(event.link, event.removed);
        break;
      case "neighbour":
        this.#neighbourChanged(event.neighbour, event.removed);
        break;
      case "overrun":
        this.#readAll();
        for (const entry of this.#entries.values()) this.#refresh(entry);
        break;
    }
    if (routesChanged) this.#routesChanged();
  }

  /** One of the ways answers otherwise now. */
  waysChanged(interfaceIndex: number): void {
    for (const entry of this.#entries.values())
      if (entry.interfaceIndex === interfaceIndex) this.#write(entry);
  }

  /** Of an interface of this host. */
  link(interfaceIndex: number): Link | undefined {
    return this.#links.get(interfaceIndex);
  }

  /** Asks for the neighbours that are stale or missing and in use. Call every few seconds. */
  confirm(): void {
    const value = Buffer.alloc(NEXTHOP.SIZE);
    const nowMs = this.#nowMs();
    this.#freeUnused(nowMs);
    for (const entry of this.#entries.values()) {
      if (entry.mac !== undefined && !entry.stale) continue;
      if (libbpf().lookup(this.#fd, keyOf(entry.index), value) !== 0) continue;
      const used = value.readUInt32LE(NEXTHOP.used);
      if (used !== 0 && nowMs - this.#clock.timeMsOf(used, nowMs) > USED_WITHIN_MS) continue;
      this.#netlink.useNeighbour(entry.interfaceIndex, entry.neighbour);
    }
  }

  #freeUnused(nowMs: number): void {
    const unused = new Set(this.#numbers.unused(nowMs));
    if (unused.size === 0) return;
    for (const [name, entry] of this.#entries) {
      if (!unused.has(entry.index)) continue;
      this.#entries.delete(name);
      entry.isFreed = true;
      // The interface stays, so that a later daemon sees a hole and not the end.
      const value = Buffer.alloc(NEXTHOP.SIZE);
      value.writeUInt32LE(entry.interfaceIndex, NEXTHOP.ifindex);
      libbpf().update(this.#fd, keyOf(entry.index), value, 0);
      this.#numbers.forget(entry.index);
    }
  }

  /** Entries keep their numbers: flows hold them, and a number must never mean another neighbour. */
  #adopt(): void {
    const value = Buffer.alloc(NEXTHOP.SIZE);
    for (let index = UNRESOLVED + 1; index < LIMITS.NEXTHOP_COUNT_MAX; index++) {
      if (libbpf().lookup(this.#fd, keyOf(index), value) !== 0) break;
      const interfaceIndex = value.readUInt32LE(NEXTHOP.ifindex);
      // They are given out in order, and what was given back has no gateway.
      if (interfaceIndex === 0) break;
      const isTaken = value.subarray(NEXTHOP.gateway, NEXTHOP.gateway + 16).some((byte) => byte !== 0);
      this.#numbers.adopt(index, isTaken, this.#nowMs());
      if (!isTaken) continue;
      const size = value.readUInt32LE(NEXTHOP.flags) & NEXTHOP_FLAG.V6 ? 16 : 4;
      const neighbour = addressFromBytes(value, NEXTHOP.gateway, size);
      const entry: Entry = {
        index,
        interfaceIndex,
        neighbour,
        mtu: undefined,
        mac: undefined,
        stale: false,
        isFreed: false,
      };
      this.#entries.set(neighbourKey(interfaceIndex, neighbour), entry);
      this.#refresh(entry);
    }
  }

  /** undefined: the table is full. */
  #entryOf(route: Route, neighbour: Address): Entry | undefined {
    const name = neighbourKey(route.interfaceIndex, neighbour);
    const known = this.#entries.get(name);
    if (known !== undefined) {
      if (known.mtu !== route.mtu) {
        known.mtu = route.mtu;
        this.#write(known);
      }
      return known;
    }
    const index = this.#numbers.take(this.#nowMs());
    if (index === undefined) {
      this.fullCount += 1;
      return undefined;
    }
    const entry: Entry = {
      index,
      interfaceIndex: route.interfaceIndex,
      neighbour,
      mtu: route.mtu,
      mac: undefined,
      stale: false,
      isFreed: false,
    };
    this.#entries.set(name, entry);
    this.#refresh(entry);
    if (entry.mac === undefined) this.#netlink.useNeighbour(entry.interfaceIndex, neighbour);
    return entry;
  }

  /** Takes the neighbour's state and writes the entry. */
  #refresh(entry: Entry): void {
    const neighbour = this.#neighbours.get(neighbourKey(entry.interfaceIndex, entry.neighbour));
    // Both ends of the loop have one hardware address.
    const isLoop = this.#routes.isLoop(entry.interfaceIndex);
    entry.mac = isLoop ? this.#links.get(entry.interfaceIndex)?.mac : neighbour?.mac;
    entry.stale = neighbour?.stale ?? false;
    this.#write(entry);
  }

  #write(entry: Entry): void {
    const link = this.#links.get(entry.interfaceIndex);
    const value = Buffer.alloc(NEXTHOP.SIZE);
    const key = keyOf(entry.index);
    // What the programs wrote stays.
    libbpf().lookup(this.#fd, key, value);
    let flags = familyOf(entry.neighbour) === 6 ? NEXTHOP_FLAG.V6 : 0;
    if (link?.up) flags |= NEXTHOP_FLAG.ROUTED;
    if (link?.up && link.carrier && entry.mac !== undefined && link.mac.length === 6) {
      flags |= NEXTHOP_FLAG.RESOLVED;
      if (this.#ways.mayTransmit(link)) flags |= NEXTHOP_FLAG.XDP;
      if (this.#ways.mayCross(link)) flags |= NEXTHOP_FLAG.ACROSS;
      value.set(entry.mac, NEXTHOP.macs);
      value.set(link.mac, NEXTHOP.macs + 6);
    }
    value.writeUInt32LE(entry.interfaceIndex, NEXTHOP.ifindex);
    value.writeUInt32LE(Math.min(entry.mtu ?? Number.POSITIVE_INFINITY, link?.mtu ?? 0), NEXTHOP.mtu);
    value.writeUInt32LE(flags, NEXTHOP.flags);
    value.fill(0, NEXTHOP.gateway, NEXTHOP.gateway + 16);
    value.set(addressBytes(entry.neighbour), NEXTHOP.gateway);
    libbpf().update(this.#fd, key, value, 0);
  }

  #linkChanged(link: Link, removed: boolean): void {
    const before = this.#links.get(link.index);
    if (removed) this.#links.delete(link.index);
    else this.#links.set(link.index, link);
    const same =
      before !== undefined &&
      !removed &&
      before.up === link.up &&
      before.carrier === link.carrier &&
      before.mtu === link.mtu &&
      before.isFar === link.isFar &&
      Buffer.from(before.mac).equals(link.mac);
    if (same) return;
    for (const entry of this.#entries.values()) {
      if (entry.interfaceIndex === link.index) this.#write(entry);
    }
    // The kernel drops IPv4 routes of a link that went down without telling of each.
    this.#routesChanged();
  }

  #neighbourChanged(neighbour: Neighbour, removed: boolean): void {
    const key = neighbourKey(neighbour.interfaceIndex, neighbour.address);
    if (removed) this.#neighbours.delete(key);
    else this.#neighbours.set(key, neighbour);
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#refresh(entry);
  }

  #routesChanged(): void {
    if (this.#destinations.size === 0) return;
    this.#destinations.clear();
    this.onRoutesChanged();
  }

  #readAll(): void {
    this.#links.clear();
    this.#neighbours.clear();
    for (const link of this.#netlink.links()) this.#links.set(link.index, link);
    for (const neighbour of this.#netlink.neighbours()) {
      this.#neighbours.set(neighbourKey(neighbour.interfaceIndex, neighbour.address), neighbour);
    }
  }
}

function neighbourKey(interfaceIndex: number, address: Address): string {
  return `${interfaceIndex} ${address}`;
}

function keyOf(index: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(index);
  return key;
}

// Links, addresses, routes and neighbours of this network namespace: asked for, and followed by their events.

import type { Address } from "@holdfast/model";
import { ERRNO } from "../kernel/libc.ts";
import { disciplineOf, disciplinesBody, type QueueDiscipline } from "./disciplines.ts";
import {
  addressOf,
  defaultGatewaysOf,
  dumpBody,
  FLAG,
  FLAG_DUMP,
  forwardingBody,
  type InterfaceAddress,
  isLocalRoute,
  type Link,
  linkOf,
  type MatchedRoute,
  MESSAGE,
  type Message,
  matchBody,
  matchedRouteOf,
  type Neighbour,
  neighbourBody,
  neighbourOf,
  type Route,
  type RouteQuestion,
  routeBody,
  routeOf,
  ruleOf,
  useNeighbourBody,
} from "./messages.ts";
import { NETLINK_ROUTE, NetlinkEvents, NetlinkRequests } from "./socket.ts";

/**
 * linux/rtnetlink.h, enum rtnetlink_groups: links, neighbours, addresses, routes and rules of both families,
 * next hops.
 */
const EVENT_GROUPS = [1, 3, 5, 7, 8, 9, 11, 19, 32];
/** Routes read in search of default routes. */
const ROUTE_READ_COUNT_MAX = 8_192;

/** What the kernel says where routes and rules lead nowhere; 0: to this host itself. */
const NO_WAY: ReadonlySet<number> = new Set([0, ERRNO["ENETUNREACH"] as number, ERRNO["EACCES"] as number]);

export type NetlinkEvent =
  | { readonly kind: "link"; readonly link: Link; readonly removed: boolean }
  | { readonly kind: "address"; readonly address: InterfaceAddress; readonly removed: boolean }
  | { readonly kind: "neighbour"; readonly neighbour: Neighbour; readonly removed: boolean }
  | { readonly kind: "route" }
  /** Which table answers may be another now. */
  | { readonly kind: "rule" }
  /** Events were lost: whatever is remembered may be wrong. */
  | { readonly kind: "overrun" };

export class Netlink {
  readonly #requests: NetlinkRequests;
  #events: NetlinkEvents | undefined;

  /** Throws NETLINK_REFUSED. */
  constructor() {
    this.#requests = new NetlinkRequests(NETLINK_ROUTE);
  }

  links(): Link[] {
    return this.#dump(MESSAGE.GET_LINK, linkOf);
  }

  addresses(): InterfaceAddress[] {
    return this.#dump(MESSAGE.GET_ADDRESS, addressOf);
  }

  /** Of all interfaces, those of ingress and clsact among them. */
  disciplines(): QueueDiscipline[] {
    return this.#dump(MESSAGE.GET_DISCIPLINE, disciplineOf, disciplinesBody());
  }

  neighbours(): Neighbour[] {
    return this.#dump(MESSAGE.GET_NEIGHBOUR, neighbourOf);
  }

  /** undefined: the kernel does not know it. */
  neighbour(interfaceIndex: number, address: Address): Neighbour | undefined {
    const body = neighbourBody(interfaceIndex, address);
    for (const message of this.#requests.ask(MESSAGE.GET_NEIGHBOUR, 0, body))
      if (message.type === MESSAGE.NEW_NEIGHBOUR) return neighbourOf(message.body);
    return undefined;
  }

  /** Which way a packet to the destination goes; undefined: none, or it is this host's own address. */
  route(destination: Address): Route | undefined {
    return this.routeOf({ destination });
  }

  routeOf(question: RouteQuestion): Route | undefined {
    for (const message of this.#requests.ask(MESSAGE.GET_ROUTE, 0, routeBody(question))) {
      if (message.type === MESSAGE.NEW_ROUTE) return routeOf(message.body);
    }
    return undefined;
  }

  /** Whether it is an address of this host. */
  isLocal(destination: Address): boolean {
    const answers = this.#requests.ask(MESSAGE.GET_ROUTE, 0, routeBody({ destination }));
    return answers.some(({ type, body }) => type === MESSAGE.NEW_ROUTE && isLocalRoute(body));
  }

  /**
   * undefined: no way; "refused": the kernel does not answer such a question, which says nothing about ways.
   */
  routeFrom(question: RouteQuestion & { readonly source: Address }): Route | "refused" | undefined {
    const route = this.routeOf(question);
    return route ?? (NO_WAY.has(this.#requests.lastError) ? undefined : "refused");
  }

  /** The entry that the destination falls under; undefined: none that a packet could be sent by. */
  matchedRoute(destination: Address, device?: number): MatchedRoute | undefined {
    for (const message of this.#requests.ask(MESSAGE.GET_ROUTE, 0, matchBody(destination, device))) {
      if (message.type === MESSAGE.NEW_ROUTE) return matchedRouteOf(message.body);
    }
    return undefined;
  }

  /**
   * Next hops of all default routes, of every table. The kernel tells a table's default route first; a
   * router's other million routes are not read to their end.
   */
  defaultGateways(): { readonly interfaceIndex: number; readonly address: Address }[] {
    // A socket of its own: what is not read of the answer goes with it.
    const requests = new NetlinkRequests(NETLINK_ROUTE);
    try {
      return requests
        .ask(MESSAGE.GET_ROUTE, FLAG_DUMP, dumpBody(), ROUTE_READ_COUNT_MAX)
        .flatMap(({ type, body }) => (type === MESSAGE.NEW_ROUTE ? defaultGatewaysOf(body) : []));
    } finally {
      requests.close();
    }
  }

  /** Whether rules of a family ask for a packet's source. */
  rulesAskForSources(): { readonly ipv4: boolean; readonly ipv6: boolean } {
    const asking = this.#dump(MESSAGE.GET_RULE, ruleOf).filter(({ hasSource }) => hasSource);
    const isAsking = (wanted: 4 | 6) => asking.some(({ family }) => family === wanted);
    return { ipv4: isAsking(4), ipv6: isAsking(6) };
  }

  /**
   * Lets an interface forward IPv4 packets: what the kernel wants before it answers for sources that are not
   * its own.
   */
  letForward(interfaceIndex: number): void {
    this.#requests.ask(MESSAGE.SET_LINK, FLAG.ACK, forwardingBody(interfaceIndex));
  }

  /** Makes the kernel resolve or confirm a neighbour; the answer comes as an event. */
  useNeighbour(interfaceIndex: number, address: Address): void {
    const body = useNeighbourBody(interfaceIndex, address);
    this.#requests.ask(MESSAGE.NEW_NEIGHBOUR, FLAG.CREATE | FLAG.ACK, body);
  }

  /** Follows changes from now on. Once only. */
  follow(listener: (event: NetlinkEvent) => void): void {
    this.#events = new NetlinkEvents(NETLINK_ROUTE, EVENT_GROUPS, (message) => {
      const event = message === undefined ? ({ kind: "overrun" } as const) : eventOf(message);
      if (event !== undefined) listener(event);
    });
  }

  close(): void {
    this.#requests.close();
    this.#events?.close();
    this.#events = undefined;
  }

  #dump<T>(type: number, decode: (body: Buffer) => T | undefined, body = dumpBody()): T[] {
    const found: T[] = [];
    for (const message of this.#requests.ask(type, FLAG_DUMP, body)) {
      const value = message.type === type - 2 ? decode(message.body) : undefined;
      if (value !== undefined) found.push(value);
    }
    return found;
  }
}

function eventOf({ type, body }: Message): NetlinkEvent | undefined {
  switch (type) {
    case MESSAGE.NEW_LINK:
    case MESSAGE.DEL_LINK: {
      const link = linkOf(body);
      return link && { kind: "link", link, removed: type === MESSAGE.DEL_LINK };
    }
    case MESSAGE.NEW_ADDRESS:
    case MESSAGE.DEL_ADDRESS: {
      const address = addressOf(body);
      return address && { kind: "address", address, removed: type === MESSAGE.DEL_ADDRESS };
    }
    case MESSAGE.NEW_NEIGHBOUR:
    case MESSAGE.DEL_NEIGHBOUR: {
      const neighbour = neighbourOf(body);
      return neighbour && { kind: "neighbour", neighbour, removed: type === MESSAGE.DEL_NEIGHBOUR };
    }
    case MESSAGE.NEW_ROUTE:
    case MESSAGE.DEL_ROUTE:
    case MESSAGE.NEW_NEXTHOP:
    case MESSAGE.DEL_NEXTHOP:
      return { kind: "route" };
    case MESSAGE.NEW_RULE:
    case MESSAGE.DEL_RULE:
      return { kind: "rule" };
    default:
      return undefined;
  }
}

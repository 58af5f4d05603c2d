// Links, addresses, routes and neighbours of this network namespace: asked for, and followed by their events.
import { type Address, HoldfastError } from "@holdfast/model";
import koffi from "koffi";
import { ERRNO, errno, errnoName, libc } from "../fast-path/bpf/native.ts";
import {
  addressOf,
  dumpBody,
  FLAG,
  FLAG_DUMP,
  type InterfaceAddress,
  type Link,
  linkOf,
  MESSAGE,
  type Message,
  messagesOf,
  type Neighbour,
  neighbourBody,
  neighbourOf,
  type Route,
  request,
  routeBody,
  routeOf,
  useNeighbourBody,
} from "./messages.ts";

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const ADDRESS_SIZE = 12;
const RECEIVE_SIZE = 64 * 1024;
const EVENT_BUFFER_BYTES = 4 * 1024 * 1024;
/** Links, neighbours, addresses and routes of both families. */
const EVENT_GROUPS = 0x1 | 0x4 | 0x10 | 0x40 | 0x100 | 0x400;
/** Datagrams of events read in one turn of the event loop. */
const EVENT_TURN_COUNT_MAX = 64;

export type NetlinkEvent =
  | { readonly kind: "link"; readonly link: Link; readonly removed: boolean }
  | { readonly kind: "address"; readonly address: InterfaceAddress; readonly removed: boolean }
  | { readonly kind: "neighbour"; readonly neighbour: Neighbour; readonly removed: boolean }
  | { readonly kind: "route" }
  /** Events were lost: whatever is remembered may be wrong. */
  | { readonly kind: "overrun" };

export class Netlink {
  readonly #requests: number;
  readonly #buffer = Buffer.alloc(RECEIVE_SIZE);
  #events = -1;
  #poll: ReturnType<typeof koffi.node.poll> | undefined;
  #sequence = 1;

  /** Throws NETLINK_REFUSED. */
  constructor() {
    this.#requests = open(0, 0);
  }

  links(): Link[] {
    return this.#dump(MESSAGE.GET_LINK, linkOf);
  }

  addresses(): InterfaceAddress[] {
    return this.#dump(MESSAGE.GET_ADDRESS, addressOf);
  }

  neighbours(): Neighbour[] {
    return this.#dump(MESSAGE.GET_NEIGHBOUR, neighbourOf);
  }

  /** undefined: the kernel does not know it. */
  neighbour(interfaceIndex: number, address: Address): Neighbour | undefined {
    const body = neighbourBody(interfaceIndex, address);
    for (const message of this.#ask(MESSAGE.GET_NEIGHBOUR, 0, body))
      if (message.type === MESSAGE.NEW_NEIGHBOUR) return neighbourOf(message.body);
    return undefined;
  }

  /** Which way a packet to the destination goes; undefined: none, or it is this host's own address. */
  route(destination: Address): Route | undefined {
    for (const message of this.#ask(MESSAGE.GET_ROUTE, 0, routeBody(destination))) {
      if (message.type === MESSAGE.NEW_ROUTE) return routeOf(message.body);
    }
    return undefined;
  }

  /** Makes the kernel resolve or confirm a neighbour; the answer comes as an event. */
  useNeighbour(interfaceIndex: number, address: Address): void {
    const body = useNeighbourBody(interfaceIndex, address);
    this.#ask(MESSAGE.NEW_NEIGHBOUR, FLAG.CREATE | FLAG.ACK, body);
  }

  /** Follows changes from now on. Once only. */
  follow(listener: (event: NetlinkEvent) => void): void {
    this.#events = open(EVENT_GROUPS, SOCK_NONBLOCK);
    const size = Buffer.alloc(4);
    size.writeInt32LE(EVENT_BUFFER_BYTES);
    libc().setsockopt(this.#events, SOL_SOCKET, SO_RCVBUF, size, 4);
    this.#poll = koffi.node.poll(this.#events, { readable: true }, () => this.#readEvents(listener));
    this.#poll.unref();
  }

  close(): void {
    this.#poll?.close();
    this.#poll = undefined;
    libc().close(this.#requests);
    if (this.#events >= 0) libc().close(this.#events);
    this.#events = -1;
  }

  #readEvents(listener: (event: NetlinkEvent) => void): void {
    for (let i = 0; i < EVENT_TURN_COUNT_MAX && this.#events >= 0; i++) {
      const length = libc().recv(this.#events, this.#buffer, RECEIVE_SIZE, 0);
      if (length < 0) {
        if (errno() === ERRNO["ENOBUFS"]) listener({ kind: "overrun" });
        return;
      }
      for (const message of messagesOf(Buffer.from(this.#buffer.subarray(0, length)))) {
        const event = eventOf(message);
        if (event !== undefined) listener(event);
      }
    }
  }

  #dump<T>(type: number, decode: (body: Buffer) => T | undefined): T[] {
    const found: T[] = [];
    for (const message of this.#ask(type, FLAG_DUMP, dumpBody())) {
      const value = message.type === type - 2 ? decode(message.body) : undefined;
      if (value !== undefined) found.push(value);
    }
    return found;
  }

  /** All messages of the answer. The kernel answers at once: the call blocks for its work only. */
  #ask(type: number, flags: number, body: Buffer): Message[] {
    const sequence = this.#sequence++;
    const bytes = request(type, flags, sequence, body);
    if (libc().sendto(this.#requests, bytes, bytes.length, 0, null, 0) < 0) return [];
    const messages: Message[] = [];
    for (;;) {
      const length = libc().recv(this.#requests, this.#buffer, RECEIVE_SIZE, 0);
      if (length <= 0) return messages;
      for (const message of messagesOf(Buffer.from(this.#buffer.subarray(0, length)))) {
        if (message.sequence !== sequence) continue;
        if (message.type === MESSAGE.DONE || message.type === MESSAGE.ERROR) return messages;
        messages.push(message);
        if ((flags & FLAG_DUMP) === 0) return messages;
      }
    }
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
      return { kind: "route" };
    default:
      return undefined;
  }
}

function open(groups: number, flags: number): number {
  const fd = libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, 0);
  const address = Buffer.alloc(ADDRESS_SIZE);
  address.writeUInt16LE(AF_NETLINK);
  address.writeUInt32LE(groups, 8);
  if (fd < 0 || libc().bind(fd, address, ADDRESS_SIZE) !== 0) {
    throw new HoldfastError("NETLINK_REFUSED", { reason: errnoName(errno()) });
  }
  return fd;
}

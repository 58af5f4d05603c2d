// Netlink sockets: one that asks, and one that is told.

import { HoldfastError } from "@holdfast/model";
import koffi from "koffi";
import { ERRNO, errno, errnoName, libc } from "../kernel/libc.ts";
import { AF_NETLINK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, SOL_SOCKET } from "../kernel/numbers.ts";
import { FLAG_DUMP, MESSAGE, type Message, messagesOf, request } from "./messages.ts";

export const NETLINK_ROUTE = 0;
export const NETLINK_GENERIC = 16;

const SO_RCVBUF = 8;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const ADDRESS_SIZE = 12;
const RECEIVE_SIZE = 64 * 1024;
const EVENT_BUFFER_BYTES = 4 * 1024 * 1024;
/** Datagrams of events read in one turn of the event loop. */
const EVENT_TURN_COUNT_MAX = 64;

/** Questions with answers. */
export class NetlinkRequests {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(RECEIVE_SIZE);
  #sequence = 1;
  /** What the last question was refused with; 0: it was not. */
  lastError = 0;

  /** Throws NETLINK_REFUSED. */
  constructor(protocol: number) {
    this.#fd = open(protocol, 0);
  }

  /**
   * All messages of the answer. The kernel answers at once: the call blocks for its work only. After a dump
   * that was cut at `countMax` messages the socket is good for nothing but to be closed.
   */
  ask(type: number, flags: number, body: Buffer, countMax = Number.POSITIVE_INFINITY): Message[] {
    const sequence = this.#sequence++;
    this.lastError = 0;
    const bytes = request(type, flags, sequence, body);
    if (libc().sendto(this.#fd, bytes, bytes.length, 0, null, 0) < 0) return [];
    const messages: Message[] = [];
    const dump = (flags & FLAG_DUMP) !== 0;
    for (;;) {
      const length = libc().recv(this.#fd, this.#buffer, RECEIVE_SIZE, 0);
      if (length <= 0) return messages;
      for (const message of messagesOf(Buffer.from(this.#buffer.subarray(0, length)))) {
        if (message.sequence !== sequence) continue;
        if (message.type === MESSAGE.ERROR) this.lastError = -message.body.readInt32LE(0);
        if (message.type === MESSAGE.DONE || message.type === MESSAGE.ERROR) return messages;
        messages.push(message);
        if (!dump || messages.length >= countMax) return messages;
      }
    }
  }

  close(): void {
    libc().close(this.#fd);
  }
}

/** What the kernel tells by itself. `undefined`: messages were lost. */
export class NetlinkEvents {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(RECEIVE_SIZE);
  readonly #poll: ReturnType<typeof koffi.node.poll>;
  #closed = false;

  /** Groups by number. Those that this kernel does not know are left out. Throws NETLINK_REFUSED. */
  constructor(protocol: number, groups: readonly number[], listener: (message: Message | undefined) => void) {
    this.#fd = open(protocol, SOCK_NONBLOCK);
    for (const group of groups)
      libc().setsockopt(this.#fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, word(group), 4);
    libc().setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUF, word(EVENT_BUFFER_BYTES), 4);
    this.#poll = koffi.node.poll(this.#fd, { readable: true }, () => this.#read(listener));
    this.#poll.unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#poll.close();
    libc().close(this.#fd);
  }

  #read(listener: (message: Message | undefined) => void): void {
    for (let i = 0; i < EVENT_TURN_COUNT_MAX && !this.#closed; i++) {
      const length = libc().recv(this.#fd, this.#buffer, RECEIVE_SIZE, 0);
      if (length < 0) {
        if (errno() === ERRNO["ENOBUFS"]) listener(undefined);
        return;
      }
      for (const message of messagesOf(Buffer.from(this.#buffer.subarray(0, length)))) {
        if (this.#closed) return;
        listener(message);
      }
    }
  }
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

function open(protocol: number, flags: number): number {
  const fd = libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, protocol);
  const address = Buffer.alloc(ADDRESS_SIZE);
  address.writeUInt16LE(AF_NETLINK);
  if (fd < 0 || libc().bind(fd, address, ADDRESS_SIZE) !== 0) {
    throw new HoldfastError("NETLINK_REFUSED", { reason: errnoName(errno()) });
  }
  return fd;
}

// UDP sockets by the system calls themselves. Node's own take a wake-up's worth of code for each datagram: a
// request to send, buffers of 64 KiB to receive, two calls of the kernel for one that waits. An idle member
// has hundreds of datagrams a second; here one call of the kernel sends what goes out of a socket, one finds
// the sockets on which something waits, and one takes all that waits on one of them.
import { type Address, addressBytes, familyOf } from "@holdfast/model";
import koffi from "koffi";
import { DATAGRAM_SIZE_MAX } from "../wire/message.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_RCVBUF = 8;
const IPPROTO_IP = 0;
const IP_TTL = 2;
const IPPROTO_IPV6 = 41;
const IPV6_UNICAST_HOPS = 16;
const SOCKADDR_IN_SIZE = 16;
const SOCKADDR_IN6_SIZE = 28;
const MSG_DONTWAIT = 0x40;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLLIN = 1;
/** struct epoll_event, which is packed: events, then what was given with the socket. */
const EVENT_SIZE = 12;
const EVENT_DATA_OFFSET = 4;
/** struct mmsghdr: a msghdr, and how many bytes it was. */
const HEADER_SIZE = 64;
const NAME_OFFSET = 0;
const NAME_SIZE_OFFSET = 8;
const VECTORS_OFFSET = 16;
const VECTOR_COUNT_OFFSET = 24;
const LENGTH_OFFSET = 56;
/** struct iovec: where, and how long. */
const VECTOR_SIZE = 16;

/** Datagrams that one call sends or takes. */
const SENT_COUNT_MAX = 32;
const TAKEN_COUNT_MAX = 8;
/** What is collected to be sent; two of the largest fit. */
const OUT_SIZE = 1 << 16;
/** A longer one is cut, and is too long then. */
const SLOT_SIZE = DATAGRAM_SIZE_MAX + 1;
/** Sockets that one call finds. */
const FOUND_COUNT_MAX = 64;
/** Calls for one socket in a turn, and looks for sockets: a flood must not keep the thread. */
const TURN_CALL_COUNT_MAX = 8;

const EAGAIN = koffi.os.errno["EAGAIN"];
const EINTR = koffi.os.errno["EINTR"];

function bindLibc() {
  const library = koffi.load("libc.so.6");
  return {
    socket: library.func("int socket(int domain, int type, int protocol)"),
    bind: library.func("int bind(int fd, void *address, uint32_t size)"),
    connect: library.func("int connect(int fd, void *address, uint32_t size)"),
    setsockopt: library.func("int setsockopt(int fd, int level, int name, void *value, uint32_t size)"),
    close: library.func("int close(int fd)"),
    sendmmsg: library.func("int sendmmsg(int fd, void *messages, uint32_t count, int flags)"),
    recvmmsg: library.func("int recvmmsg(int fd, void *messages, uint32_t count, int flags, void *timeout)"),
    epollCreate: library.func("int epoll_create1(int flags)"),
    epollControl: library.func("int epoll_ctl(int epoll, int operation, int fd, void *event)"),
    epollWait: library.func("int epoll_wait(int epoll, void *events, int count, int timeoutMs)"),
  };
}

let bound: ReturnType<typeof bindLibc> | undefined;

function libc(): ReturnType<typeof bindLibc> {
  bound ??= bindLibc();
  return bound;
}

function check(call: string, result: number): number {
  if (result >= 0) return result;
  throw new Error(`${call} ${errnoName(koffi.errno())}`);
}

export function errnoName(errno: number): string {
  return Object.keys(koffi.os.errno).find((name) => koffi.os.errno[name] === errno) ?? String(errno);
}

export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

/** Memory whose place the kernel may be told: it is not moved while somebody holds it. */
export interface Fixed {
  readonly bytes: Buffer;
  readonly at: number;
}

function fixed(size: number): Fixed {
  const bytes = Buffer.allocUnsafeSlow(size).fill(0);
  return { bytes, at: Number(koffi.address(bytes)) };
}

function putPointer(into: Buffer, offset: number, pointer: number): void {
  into.writeUInt32LE(pointer % 2 ** 32, offset);
  into.writeUInt32LE(Math.floor(pointer / 2 ** 32), offset + 4);
}

/** struct sockaddr_in, or sockaddr_in6. */
export function socketAddress({ address, port }: Endpoint): Fixed {
  const isV4 = familyOf(address) === 4;
  const name = fixed(isV4 ? SOCKADDR_IN_SIZE : SOCKADDR_IN6_SIZE);
  name.bytes.writeUInt16LE(isV4 ? AF_INET : AF_INET6, 0);
  name.bytes.writeUInt16BE(port, 2);
  name.bytes.set(addressBytes(address), isV4 ? 4 : 8);
  return name;
}

/** A socket of its own on an address that others may use as well. Throws what the kernel says. */
export function openSocket(
  own: Endpoint,
  options: { readonly receiveBufferSize: number; readonly hopLimit?: number },
): number {
  const isV4 = familyOf(own.address) === 4;
  const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check("socket", libc().socket(isV4 ? AF_INET : AF_INET6, type, 0));
  const set = (level: number, name: number, value: number) =>
    check(
      "setsockopt",
      libc().setsockopt(fd, level, name, new Uint8Array(new Int32Array([value]).buffer), 4),
    );
  try {
    set(SOL_SOCKET, SO_REUSEADDR, 1);
    set(SOL_SOCKET, SO_RCVBUF, options.receiveBufferSize);
    if (options.hopLimit !== undefined) {
      if (isV4) set(IPPROTO_IP, IP_TTL, options.hopLimit);
      else set(IPPROTO_IPV6, IPV6_UNICAST_HOPS, options.hopLimit);
    }
    const { bytes } = socketAddress(own);
    check("bind", libc().bind(fd, bytes, bytes.length));
    return fd;
  } catch (error) {
    libc().close(fd);
    throw error;
  }
}

/** From now on the kernel gives it what comes from there, and nothing else. false: there is no way. */
export function connectSocket(fd: number, to: Endpoint): boolean {
  const { bytes } = socketAddress(to);
  return libc().connect(fd, bytes, bytes.length) === 0;
}

export function closeSocket(fd: number): void {
  libc().close(fd);
}

/** What waits to leave one socket. */
interface Queue {
  readonly headers: Buffer;
  readonly vectors: Fixed;
  /** Held until they have left. */
  readonly names: Fixed[];
  count: number;
}

/** Datagrams of one turn, which leave together: one call of the kernel for each socket. */
export class Outbox {
  /** Datagrams that the kernel did not take. */
  failures = 0;
  /** Of the kernel. */
  calls = 0;
  readonly #out = fixed(OUT_SIZE);
  #used = 0;
  readonly #queues = new Map<number, Queue>();
  #isDue = false;

  /** It leaves at the end of this turn, or before. */
  add(fd: number, to: Fixed, datagram: Uint8Array): void {
    let queue = this.#queues.get(fd);
    if (queue === undefined) {
      queue = newQueue();
      this.#queues.set(fd, queue);
    }
    if (queue.count === SENT_COUNT_MAX || this.#used + datagram.length > OUT_SIZE) this.flush();
    this.#out.bytes.set(datagram, this.#used);
    const header = queue.count * HEADER_SIZE;
    const vector = queue.count * VECTOR_SIZE;
    putPointer(queue.headers, header + NAME_OFFSET, to.at);
    queue.headers.writeUInt32LE(to.bytes.length, header + NAME_SIZE_OFFSET);
    putPointer(queue.vectors.bytes, vector, this.#out.at + this.#used);
    putPointer(queue.vectors.bytes, vector + 8, datagram.length);
    queue.names[queue.count] = to;
    queue.count += 1;
    this.#used += datagram.length;
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => this.flush());
  }

  flush(): void {
    this.#isDue = false;
    this.#used = 0;
    for (const [fd, queue] of this.#queues) {
      if (queue.count > 0) this.#send(fd, queue);
      queue.count = 0;
    }
  }

  /** Before the socket is closed: another one may have its number. */
  forget(fd: number): void {
    this.flush();
    this.#queues.delete(fd);
  }

  #send(fd: number, queue: Queue): void {
    for (let sent = 0; sent < queue.count; ) {
      const rest = queue.headers.subarray(sent * HEADER_SIZE);
      this.calls += 1;
      const count: number = libc().sendmmsg(fd, rest, queue.count - sent, MSG_DONTWAIT);
      // A network that is down refuses at once; the others carry the probe.
      if (count <= 0) this.failures += 1;
      sent += Math.max(1, count);
    }
  }
}

function newQueue(): Queue {
  const vectors = fixed(SENT_COUNT_MAX * VECTOR_SIZE);
  return { headers: headersOver(vectors), vectors, names: [], count: 0 };
}

/** One for each vector, with that alone. */
function headersOver(vectors: Fixed): Buffer {
  const count = vectors.bytes.length / VECTOR_SIZE;
  const headers = Buffer.allocUnsafeSlow(count * HEADER_SIZE).fill(0);
  for (let i = 0; i < count; i++) {
    putPointer(headers, i * HEADER_SIZE + VECTORS_OFFSET, vectors.at + i * VECTOR_SIZE);
    headers.writeUInt32LE(1, i * HEADER_SIZE + VECTOR_COUNT_OFFSET);
  }
  return headers;
}

/** Who reads a socket. */
export interface Reader {
  /** The bytes are good until it returns. */
  take(bytes: Uint8Array): void;
  /** The socket has an error, which is taken from it; it goes on being read as long as it is not removed. */
  failed(reason: string): void;
}

/** The sockets that are read: whenever something comes, and when `read` is called. */
export class Inbox {
  /** Of the kernel. */
  calls = 0;
  readonly #epoll = check("epoll_create1", libc().epollCreate(EPOLL_CLOEXEC));
  readonly #readers = new Map<number, Reader>();
  readonly #events = Buffer.allocUnsafeSlow(FOUND_COUNT_MAX * EVENT_SIZE).fill(0);
  readonly #slots = fixed(TAKEN_COUNT_MAX * SLOT_SIZE);
  readonly #vectors = fixed(TAKEN_COUNT_MAX * VECTOR_SIZE);
  readonly #headers = headersOver(this.#vectors);
  /** What was taken last, of each slot: the next is as long, most of the time. */
  readonly #taken: Uint8Array[] = Array.from({ length: TAKEN_COUNT_MAX }, () => new Uint8Array(0));
  readonly #poll: ReturnType<typeof koffi.node.poll>;
  #closed = false;

  constructor() {
    for (let i = 0; i < TAKEN_COUNT_MAX; i++) {
      putPointer(this.#vectors.bytes, i * VECTOR_SIZE, this.#slots.at + i * SLOT_SIZE);
      putPointer(this.#vectors.bytes, i * VECTOR_SIZE + 8, SLOT_SIZE);
    }
    // The loop waits for one descriptor, behind which are all sockets.
    this.#poll = koffi.node.poll(this.#epoll, { readable: true }, () => this.read());
  }

  add(fd: number, reader: Reader): void {
    const event = Buffer.alloc(EVENT_SIZE);
    event.writeUInt32LE(EPOLLIN, 0);
    event.writeUInt32LE(fd, EVENT_DATA_OFFSET);
    check("epoll_ctl", libc().epollControl(this.#epoll, EPOLL_CTL_ADD, fd, event));
    this.#readers.set(fd, reader);
  }

  /** Before the socket is closed, which takes it off the kernel's list. */
  remove(fd: number): void {
    this.#readers.delete(fd);
  }

  /** What waits on all of them. */
  read(): void {
    for (let look = 0; look < TURN_CALL_COUNT_MAX && !this.#closed; look++) {
      this.calls += 1;
      const count: number = libc().epollWait(this.#epoll, this.#events, FOUND_COUNT_MAX, 0);
      for (let i = 0; i < count && !this.#closed; i++)
        this.#readOne(this.#events.readUInt32LE(i * EVENT_SIZE + EVENT_DATA_OFFSET));
      if (count < FOUND_COUNT_MAX) return;
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#readers.clear();
    this.#poll.close();
    libc().close(this.#epoll);
  }

  #takenAt(slot: number): Uint8Array {
    const length = this.#headers.readUInt32LE(slot * HEADER_SIZE + LENGTH_OFFSET);
    let taken = this.#taken[slot] as Uint8Array;
    if (taken.length !== length) {
      const { buffer, byteOffset } = this.#slots.bytes;
      taken = new Uint8Array(buffer, byteOffset + slot * SLOT_SIZE, length);
      this.#taken[slot] = taken;
    }
    return taken;
  }

  #readOne(fd: number): void {
    const reader = this.#readers.get(fd);
    for (let call = 0; call < TURN_CALL_COUNT_MAX; call++) {
      if (reader === undefined || this.#readers.get(fd) !== reader) return;
      this.calls += 1;
      const count: number = libc().recvmmsg(fd, this.#headers, TAKEN_COUNT_MAX, MSG_DONTWAIT, null);
      if (count < 0) {
        const errno = koffi.errno();
        if (errno === EAGAIN || errno === EINTR) return;
        reader.failed(`recvmmsg ${errnoName(errno)}`);
        continue;
      }
      for (let i = 0; i < count && this.#readers.get(fd) === reader; i++) {
        reader.take(this.#takenAt(i));
      }
      if (count < TAKEN_COUNT_MAX) return;
    }
  }
}

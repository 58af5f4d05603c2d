// The system calls that Node has no interface for, through koffi; loaded on first use. Sync calls take
// Buffers as they are; addresses that the kernel keeps beyond a call come from mmap only, so that the garbage
// collector has no say in them.
import koffi from "koffi";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "./numbers.ts";

/** A C pointer, as koffi hands it out. */
export type Pointer = unknown;

interface Libc {
  readonly mmap: (
    address: Pointer,
    length: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => Pointer;
  readonly munmap: (address: Pointer, length: number) => number;
  readonly close: (fd: number) => number;
  readonly mount: (source: string, target: string, type: string, flags: number, data: Pointer) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly bind: (fd: number, address: Uint8Array, size: number) => number;
  readonly connect: (fd: number, address: Uint8Array, size: number) => number;
  readonly getsockopt: (
    fd: number,
    level: number,
    name: number,
    value: Uint8Array,
    size: Uint8Array,
  ) => number;
  readonly ioctl: (fd: number, request: number | bigint, argument: Uint8Array) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Uint8Array, size: number) => number;
  readonly sendto: (
    fd: number,
    bytes: Uint8Array,
    length: number,
    flags: number,
    address: Uint8Array | null,
    size: number,
  ) => number;
  readonly sendmsg: (fd: number, message: Uint8Array, flags: number) => number;
  readonly send: (fd: number, bytes: Uint8Array, length: number, flags: number) => number;
  readonly sendmmsg: (fd: number, messages: bigint, count: number, flags: number) => number;
  readonly eventfd: (initial: number, flags: number) => number;
  readonly write: (fd: number, bytes: Uint8Array, length: number) => number;
  readonly poll: ((fds: Uint8Array, count: number, timeoutMs: number) => number) & {
    async: (
      fds: Uint8Array,
      count: number,
      timeoutMs: number,
      done: (error: unknown, result: number) => void,
    ) => void;
  };
  readonly recv: (fd: number, bytes: Uint8Array, length: number, flags: number) => number;
  readonly vsnprintf: (bytes: Uint8Array, size: number, format: Pointer, list: Pointer) => number;
  readonly signalMask: (how: number, set: Uint8Array, before: Uint8Array | null) => number;
}

let loaded: Libc | undefined;

export function libc(): Libc {
  if (loaded !== undefined) return loaded;
  const library = koffi.load("libc.so.6");
  const f = (definition: string) => library.func(definition) as never;
  loaded = {
    mmap: f("void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)"),
    munmap: f("int munmap(void *addr, size_t length)"),
    close: f("int close(int fd)"),
    mount: f("int mount(const char *source, const char *target, const char *type, ulong flags, void *data)"),
    socket: f("int socket(int domain, int type, int protocol)"),
    bind: f("int bind(int fd, void *address, uint size)"),
    connect: f("int connect(int fd, void *address, uint32_t length)"),
    getsockopt: f("int getsockopt(int fd, int level, int name, void *value, void *length)"),
    ioctl: f("int ioctl(int fd, uint64_t request, void *argument)"),
    setsockopt: f("int setsockopt(int fd, int level, int name, void *value, uint size)"),
    sendto: f("int64_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint size)"),
    sendmsg: f("int64_t sendmsg(int fd, void *message, int flags)"),
    send: f("int64_t send(int fd, void *bytes, uint64_t length, int flags)"),
    sendmmsg: f("int sendmmsg(int fd, uint64_t messages, uint32_t count, int flags)"),
    eventfd: f("int eventfd(uint32_t initial, int flags)"),
    write: f("int64_t write(int fd, void *bytes, uint64_t length)"),
    poll: f("int poll(void *fds, uint64_t count, int timeoutMs)"),
    recv: f("int64_t recv(int fd, void *bytes, size_t length, int flags)"),
    vsnprintf: f("int vsnprintf(void *bytes, size_t size, void *format, void *list)"),
    signalMask: f("int pthread_sigmask(int how, void *set, void *before)"),
  };
  return loaded;
}

/** errno of the last libc call that failed. */
export function errno(): number {
  return koffi.errno();
}

const NAMES = new Map(Object.entries(koffi.os.errno).map(([name, value]) => [value, name]));

/** "EPERM" for 1 or -1. */
export function errnoName(code: number): string {
  return NAMES.get(Math.abs(code)) ?? `error ${Math.abs(code)}`;
}

export const ERRNO = koffi.os.errno as Readonly<Record<string, number>>;

/** A system call that failed: an operator has to see which, on what, and why. */
export class SystemCallError extends Error {
  readonly errno: number;
  readonly code: string;

  constructor(call: string, errno: number = koffi.errno()) {
    const code = errnoName(errno);
    super(`${call}: ${code}`);
    this.name = "SystemCallError";
    this.errno = errno;
    this.code = code;
  }
}

/** The result of a call that answers -1 for failure. */
export function check(call: string, result: number): number {
  if (result < 0) throw new SystemCallError(call);
  return result;
}

/** A non-blocking socket that children do not inherit. */
export function openSocket(domain: number, type: number, protocol: number): number {
  return check("socket", libc().socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol));
}

export function setOption(fd: number, level: number, name: number, value: Uint8Array | number): void {
  const bytes = typeof value === "number" ? int32(value) : value;
  check(`setsockopt(${level}, ${name})`, libc().setsockopt(fd, level, name, bytes, bytes.length));
}

export function int32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, value, true);
  return bytes;
}

/** The address of a buffer. The caller keeps the buffer alive for as long as the kernel may use it. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes) as bigint;
}

/** The address of a buffer, written into another. The caller keeps both alive while C may look. */
export function putAddress(into: Buffer, offset: number, of: Uint8Array): void {
  into.writeBigUInt64LE(addressOf(of), offset);
}

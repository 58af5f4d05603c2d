// The system calls that Node has no interface for. Loaded on first use, so that importing the package needs no koffi.
import koffi from "koffi";

export const AF_INET = 2;
export const AF_INET6 = 10;
export const AF_PACKET = 17;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;

export const ERRNO = koffi.os.errno;

function bind() {
  const libc = koffi.load("libc.so.6");
  return {
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    bind: libc.func("int bind(int fd, void *address, uint32_t length)"),
    connect: libc.func("int connect(int fd, void *address, uint32_t length)"),
    setsockopt: libc.func("int setsockopt(int fd, int level, int name, void *value, uint32_t length)"),
    getsockopt: libc.func("int getsockopt(int fd, int level, int name, void *value, void *length)"),
    ioctl: libc.func("int ioctl(int fd, uint64_t request, void *argument)"),
    close: libc.func("int close(int fd)"),
    send: libc.func("int64_t send(int fd, void *bytes, uint64_t length, int flags)"),
    recv: libc.func("int64_t recv(int fd, void *bytes, uint64_t length, int flags)"),
    sendmmsg: libc.func("int sendmmsg(int fd, uint64_t messages, uint32_t count, int flags)"),
    mmap: libc.func(
      "void *mmap(void *address, uint64_t length, int protection, int flags, int fd, int64_t offset)",
    ),
    munmap: libc.func("int munmap(uint64_t address, uint64_t length)"),
    eventfd: libc.func("int eventfd(uint32_t initial, int flags)"),
    write: libc.func("int64_t write(int fd, void *bytes, uint64_t length)"),
    poll: libc.func("int poll(void *fds, uint64_t count, int timeoutMs)"),
  };
}

let bound: ReturnType<typeof bind> | undefined;

export function libc(): ReturnType<typeof bind> {
  bound ??= bind();
  return bound;
}

/** A system call that failed: an operator has to see which, on what, and why. */
export class SystemCallError extends Error {
  readonly errno: number;
  readonly code: string;

  constructor(call: string, errno: number = koffi.errno()) {
    const code = Object.keys(ERRNO).find((name) => ERRNO[name] === errno) ?? String(errno);
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

export function errno(): number {
  return koffi.errno();
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

/** Memory that the kernel may keep addresses of: it never moves, and lives until `unmap`. */
export interface Mapping {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** After this, touching `bytes` ends the process: drop every view first. */
  unmap(): void;
}

const PROT_READ_WRITE = 3;
const MAP_SHARED = 0x01;
const MAP_PRIVATE = 0x02;
const MAP_ANONYMOUS = 0x20;
const MAP_LOCKED = 0x2000;

/** Maps a socket's ring (fd) or anonymous memory (no fd). */
export function mapMemory(size: number, fd?: number): Mapping {
  const flags = fd === undefined ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED | MAP_LOCKED;
  let address = libc().mmap(null, size, PROT_READ_WRITE, flags, fd ?? -1, 0) as bigint;
  if (BigInt.asIntN(64, address) === -1n && fd !== undefined) {
    // Locking needs RLIMIT_MEMLOCK or CAP_IPC_LOCK; the ring works without.
    address = libc().mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0) as bigint;
  }
  if (BigInt.asIntN(64, address) === -1n) throw new SystemCallError("mmap");
  return {
    address,
    bytes: new Uint8Array(koffi.view(address, size)),
    unmap: () => void libc().munmap(address, size),
  };
}

/** The address of a buffer. The caller keeps the buffer alive for as long as the kernel may use it. */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}

// The system calls of the daemon itself that Node has no interface for: a lock that ends with the process, a
// datagram to the service manager, an end that waits for nobody.
import koffi from "koffi";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
/** A manager that does not read must not hold up who has packets to forward. */
const MSG_DONTWAIT = 0x40;
const LOCK_EX = 2;
const LOCK_NB = 4;
/** struct sockaddr_un: family, then a path of so many bytes, its terminating zero included. */
const SUN_PATH_SIZE = 108;

function bind() {
  const libc = koffi.load("libc.so.6");
  return {
    flock: libc.func("int flock(int fd, int operation)"),
    socket: libc.func("int socket(int domain, int type, int protocol)"),
    sendto: libc.func(
      "int64_t sendto(int fd, const uint8_t *bytes, size_t size, int flags, const uint8_t *address, uint32_t length)",
    ),
    close: libc.func("int close(int fd)"),
    exit: libc.func("void _exit(int status)"),
    trim: libc.func("int malloc_trim(size_t pad)"),
  };
}

let bound: ReturnType<typeof bind> | undefined;

function libc(): ReturnType<typeof bind> {
  bound ??= bind();
  return bound;
}

/**
 * Takes the whole open file for this process, until it is closed. false: another one has it. Throws on other
 * errors.
 */
export function lockFile(fd: number): boolean {
  if (libc().flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const errno = koffi.errno();
  if (errno === koffi.os.errno["EWOULDBLOCK"] || errno === koffi.os.errno["EAGAIN"]) return false;
  const code = Object.keys(koffi.os.errno).find((name) => koffi.os.errno[name] === errno) ?? String(errno);
  throw Object.assign(new Error(`flock: ${code}`), { code });
}

/** Ends the process now. `process.exit` waits for worker threads, and would for ever for one that hangs. */
export function exitNow(code: number): never {
  libc().exit(code);
  throw new Error("_exit returned");
}

/** What the C library's allocator holds and nobody uses goes back to the system. */
export function giveMemoryBack(): void {
  libc().trim(0);
}

/**
 * One datagram to a unix socket; `@NAME` is one of the abstract name space. false: it did not leave. Never
 * waits.
 */
export function sendUnixDatagram(path: string, text: string): boolean {
  const name = Buffer.from(path.startsWith("@") ? `\0${path.slice(1)}` : path);
  if (name.length === 0 || name.length >= SUN_PATH_SIZE) return false;
  // An abstract name ends with the address, a path with a zero.
  const isAbstract = name[0] === 0;
  const address = Buffer.alloc(2 + name.length + (isAbstract ? 0 : 1));
  address.writeUInt16LE(AF_UNIX, 0);
  name.copy(address, 2);
  const fd: number = libc().socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bytes = Buffer.from(text);
  const sent: number | bigint = libc().sendto(fd, bytes, bytes.length, MSG_DONTWAIT, address, address.length);
  libc().close(fd);
  return Number(sent) === bytes.length;
}

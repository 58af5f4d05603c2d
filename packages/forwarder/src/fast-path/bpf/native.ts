// libbpf and libc through koffi. Sync calls take Buffers as they are; addresses that the kernel keeps beyond a call
// come from mmap only, so that the garbage collector has no say in them.
import { constants } from "node:os";
import koffi from "koffi";

/** A C pointer, as koffi hands it out. */
export type Pointer = unknown;

const POINTER_SIZE = 8;

interface Libbpf {
  readonly objectOpen: (file: string, options: Pointer) => Pointer;
  readonly objectLoad: (object: Pointer) => number;
  readonly objectClose: (object: Pointer) => void;
  readonly findMap: (object: Pointer, name: string) => Pointer;
  readonly mapFd: (map: Pointer) => number;
  readonly mapSetMaxEntries: (map: Pointer, count: number) => number;
  readonly mapSetPinPath: (map: Pointer, path: string) => number;
  readonly mapInitialValue: (map: Pointer, size: Uint8Array) => Pointer;
  readonly findProgram: (object: Pointer, name: string) => Pointer;
  readonly programFd: (program: Pointer) => number;
  readonly programSetAutoload: (program: Pointer, load: boolean) => number;
  readonly linkCreate: (programFd: number, target: number, attachType: number, options: Uint8Array) => number;
  readonly linkUpdate: (linkFd: number, programFd: number, options: Pointer) => number;
  readonly linkDetach: (linkFd: number) => number;
  readonly programQuery: (
    target: number,
    attachType: number,
    flags: number,
    attachFlags: Uint8Array | null,
    ids: Uint8Array,
    count: Uint8Array,
  ) => number;
  readonly pin: (fd: number, path: string) => number;
  readonly get: (path: string) => number;
  readonly infoByFd: (fd: number, info: Uint8Array, size: Uint8Array) => number;
  readonly lookup: (fd: number, key: Uint8Array, value: Uint8Array) => number;
  readonly update: (fd: number, key: Uint8Array, value: Uint8Array, flags: number) => number;
  readonly remove: (fd: number, key: Uint8Array) => number;
  readonly nextKey: (fd: number, key: Uint8Array | null, next: Uint8Array) => number;
  readonly lookupBatch: (
    fd: number,
    from: Uint8Array | null,
    to: Uint8Array,
    keys: Uint8Array,
    values: Uint8Array,
    count: Uint8Array,
    options: Pointer,
  ) => number;
  readonly updateBatch: (
    fd: number,
    keys: Uint8Array,
    values: Uint8Array,
    count: Uint8Array,
    options: Pointer,
  ) => number;
  readonly testRun: (fd: number, options: Uint8Array) => number;
  readonly tcHookCreate: (hook: Uint8Array) => number;
  readonly tcHookDestroy: (hook: Uint8Array) => number;
  readonly tcAttach: (hook: Uint8Array, options: Uint8Array) => number;
  readonly tcDetach: (hook: Uint8Array, options: Uint8Array) => number;
  readonly setPrint: (callback: Pointer) => Pointer;
}

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
  readonly recv: (fd: number, bytes: Uint8Array, length: number, flags: number) => number;
  readonly vsnprintf: (bytes: Uint8Array, size: number, format: Pointer, list: Pointer) => number;
  readonly signalMask: (how: number, set: Uint8Array, before: Uint8Array | null) => number;
}

let loadedLibbpf: Libbpf | undefined;
let loadedLibc: Libc | undefined;

/** Throws what koffi throws when libbpf.so.1 is not installed. */
export function libbpf(): Libbpf {
  if (loadedLibbpf !== undefined) return loadedLibbpf;
  const library = koffi.load("libbpf.so.1");
  const f = (definition: string) => library.func(definition) as never;
  loadedLibbpf = {
    objectOpen: f("void *bpf_object__open_file(const char *path, void *opts)"),
    objectLoad: f("int bpf_object__load(void *obj)"),
    objectClose: f("void bpf_object__close(void *obj)"),
    findMap: f("void *bpf_object__find_map_by_name(void *obj, const char *name)"),
    mapFd: f("int bpf_map__fd(void *map)"),
    mapSetMaxEntries: f("int bpf_map__set_max_entries(void *map, uint32_t count)"),
    mapSetPinPath: f("int bpf_map__set_pin_path(void *map, const char *path)"),
    mapInitialValue: f("void *bpf_map__initial_value(void *map, void *size)"),
    findProgram: f("void *bpf_object__find_program_by_name(void *obj, const char *name)"),
    programFd: f("int bpf_program__fd(void *prog)"),
    programSetAutoload: f("int bpf_program__set_autoload(void *prog, bool autoload)"),
    linkCreate: f("int bpf_link_create(int prog_fd, int target_fd, int type, void *opts)"),
    linkUpdate: f("int bpf_link_update(int link_fd, int new_prog_fd, void *opts)"),
    linkDetach: f("int bpf_link_detach(int link_fd)"),
    programQuery: f(
      "int bpf_prog_query(int target_fd, int type, uint32_t flags, void *attach_flags, void *ids, void *count)",
    ),
    pin: f("int bpf_obj_pin(int fd, const char *path)"),
    get: f("int bpf_obj_get(const char *path)"),
    infoByFd: f("int bpf_obj_get_info_by_fd(int fd, void *info, void *len)"),
    lookup: f("int bpf_map_lookup_elem(int fd, void *key, void *value)"),
    update: f("int bpf_map_update_elem(int fd, void *key, void *value, uint64_t flags)"),
    remove: f("int bpf_map_delete_elem(int fd, void *key)"),
    nextKey: f("int bpf_map_get_next_key(int fd, void *key, void *next)"),
    lookupBatch: f(
      "int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, void *count, void *opts)",
    ),
    updateBatch: f("int bpf_map_update_batch(int fd, void *keys, void *values, void *count, void *opts)"),
    testRun: f("int bpf_prog_test_run_opts(int fd, void *opts)"),
    tcHookCreate: f("int bpf_tc_hook_create(void *hook)"),
    tcHookDestroy: f("int bpf_tc_hook_destroy(void *hook)"),
    tcAttach: f("int bpf_tc_attach(void *hook, void *opts)"),
    tcDetach: f("int bpf_tc_detach(void *hook, void *opts)"),
    setPrint: f("void *libbpf_set_print(void *callback)"),
  };
  return loadedLibbpf;
}

export function libc(): Libc {
  if (loadedLibc !== undefined) return loadedLibc;
  const library = koffi.load("libc.so.6");
  const f = (definition: string) => library.func(definition) as never;
  loadedLibc = {
    mmap: f("void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)"),
    munmap: f("int munmap(void *addr, size_t length)"),
    close: f("int close(int fd)"),
    mount: f("int mount(const char *source, const char *target, const char *type, ulong flags, void *data)"),
    socket: f("int socket(int domain, int type, int protocol)"),
    bind: f("int bind(int fd, void *address, uint size)"),
    setsockopt: f("int setsockopt(int fd, int level, int name, void *value, uint size)"),
    sendto: f("int64_t sendto(int fd, void *bytes, size_t length, int flags, void *address, uint size)"),
    sendmsg: f("int64_t sendmsg(int fd, void *message, int flags)"),
    recv: f("int64_t recv(int fd, void *bytes, size_t length, int flags)"),
    vsnprintf: f("int vsnprintf(void *bytes, size_t size, void *format, void *list)"),
    signalMask: f("int pthread_sigmask(int how, void *set, void *before)"),
  };
  return loadedLibc;
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

/** The address of a buffer, written into another. The caller keeps both alive while C may look. */
export function putAddress(into: Buffer, offset: number, of: Uint8Array): void {
  into.writeBigUInt64LE(koffi.address(of) as bigint, offset);
}

/** struct msghdr, and iovec. */
const MESSAGE_SIZE = 56;
const VECTOR_SIZE = 16;

/** sendmsg of one piece with one control message; what it returns. */
export function sendMessage(
  fd: number,
  bytes: Uint8Array,
  address: Uint8Array,
  control: Uint8Array,
  flags: number,
): number {
  const vector = Buffer.alloc(VECTOR_SIZE);
  putAddress(vector, 0, bytes);
  vector.writeBigUInt64LE(BigInt(bytes.length), 8);
  const message = Buffer.alloc(MESSAGE_SIZE);
  putAddress(message, 0, address);
  message.writeUInt32LE(address.length, 8);
  putAddress(message, 16, vector);
  message.writeBigUInt64LE(1n, 24);
  putAddress(message, 32, control);
  message.writeBigUInt64LE(BigInt(control.length), 40);
  return libc().sendmsg(fd, message, flags);
}

/** Memory that is not the garbage collector's, as an ArrayBuffer over it. */
export function viewOf(pointer: Pointer, length: number): ArrayBuffer {
  return koffi.view(pointer, length);
}

const PRINT = koffi.proto("int HoldfastPrint(int level, void *format, void *list)");
const PRINT_SIZE_MAX = 16_384;
/** Lines kept of what libbpf says while an object is loaded: the verifier's last words stand at the end. */
const PRINT_LINE_COUNT_MAX = 200;

/** Runs `action` and returns what libbpf printed meanwhile (warnings and verifier logs) beside its result. */
export function withLibbpfLog<T>(action: () => T): { result: T; lines: readonly string[] } {
  const bpf = libbpf();
  const c = libc();
  const lines: string[] = [];
  const buffer = Buffer.alloc(PRINT_SIZE_MAX);
  const callback = koffi.register((level: number, format: Pointer, list: Pointer) => {
    if (level > 1) return 0;
    const length = c.vsnprintf(buffer, buffer.length, format, list);
    const text = buffer.toString("utf8", 0, Math.min(Math.max(length, 0), buffer.length - 1));
    for (const line of text.split("\n")) if (line.trim() !== "") lines.push(line);
    if (lines.length > PRINT_LINE_COUNT_MAX) lines.splice(0, lines.length - PRINT_LINE_COUNT_MAX);
    return 0;
  }, koffi.pointer(PRINT));
  const previous = bpf.setPrint(callback);
  try {
    return { result: action(), lines };
  } finally {
    bpf.setPrint(previous);
    koffi.unregister(callback);
  }
}

const SIG_BLOCK = 0;
const SIG_SETMASK = 2;
/** sigset_t of glibc. */
const SIGNAL_SET_SIZE = 128;
/** What an instruction raises itself: the kernel ends a process that blocks these and then raises one. */
const SYNCHRONOUS_SIGNALS = ["SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV"] as const;

/** Runs `action` with this thread's signals put off, for calls that the kernel gives up when one comes. */
export function withoutSignals<T>(action: () => T): T {
  const set = Buffer.alloc(SIGNAL_SET_SIZE, 0xff);
  for (const name of SYNCHRONOUS_SIGNALS) {
    const bit = constants.signals[name] - 1;
    set[bit >>> 3] = (set[bit >>> 3] as number) & ~(1 << (bit & 7));
  }
  const before = Buffer.alloc(SIGNAL_SET_SIZE);
  libc().signalMask(SIG_BLOCK, set, before);
  try {
    return action();
  } finally {
    libc().signalMask(SIG_SETMASK, before, null);
  }
}

/** An options struct of libbpf: zeroed, its size in the first word. */
export function options(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(BigInt(size), 0);
  return bytes;
}

export { POINTER_SIZE };

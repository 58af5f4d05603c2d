// libbpf through koffi. Sync calls take Buffers as they are.

import koffi from "koffi";
import { libc, type Pointer } from "./libc.ts";

interface Libbpf {
  readonly objectOpen: (file: string, options: Pointer) => Pointer;
  readonly objectLoad: (object: Pointer) => number;
  readonly objectClose: (object: Pointer) => void;
  readonly findMap: (object: Pointer, name: string) => Pointer;
  /** The first one after `null`; null after the last. */
  readonly nextMap: (object: Pointer, map: Pointer) => Pointer;
  readonly mapName: (map: Pointer) => string;
  readonly mapFd: (map: Pointer) => number;
  /** Instead of making one when the object is loaded. */
  readonly mapReuse: (map: Pointer, fd: number) => number;
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
    ids: Uint8Array | null,
    count: Uint8Array,
  ) => number;
  readonly mapCreate: (
    type: number,
    name: string,
    keySize: number,
    valueSize: number,
    entryCountMax: number,
    options: Pointer,
  ) => number;
  /** The BTF object of an id; the kernel asks for CAP_SYS_ADMIN. */
  readonly btfById: (id: number) => number;
  readonly pin: (fd: number, path: string) => number;
  readonly get: (path: string) => number;
  readonly infoByFd: (fd: number, info: Uint8Array, size: Uint8Array) => number;
  /** Of a queue, without a key: the first one. */
  readonly lookup: (fd: number, key: Uint8Array | null, value: Uint8Array) => number;
  /** Of a queue, without a key: behind the last one. */
  readonly update: (fd: number, key: Uint8Array | null, value: Uint8Array, flags: number) => number;
  readonly remove: (fd: number, key: Uint8Array) => number;
  /** Reads and takes away. */
  readonly pop: (fd: number, key: Uint8Array | null, value: Uint8Array) => number;
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
  /** `count`: in, of keys; out, of those that were taken away before the first one that was not there. */
  readonly removeBatch: (fd: number, keys: Uint8Array, count: Uint8Array, options: Pointer) => number;
  readonly testRun: (fd: number, options: Uint8Array) => number;
  readonly tcHookCreate: (hook: Uint8Array) => number;
  readonly tcHookDestroy: (hook: Uint8Array) => number;
  readonly tcAttach: (hook: Uint8Array, options: Uint8Array) => number;
  readonly tcDetach: (hook: Uint8Array, options: Uint8Array) => number;
  readonly setPrint: (callback: Pointer) => Pointer;
}

let loaded: Libbpf | undefined;

/** Throws what koffi throws when libbpf.so.1 is not installed. */
export function libbpf(): Libbpf {
  if (loaded !== undefined) return loaded;
  const library = koffi.load("libbpf.so.1");
  const f = (definition: string) => library.func(definition) as never;
  loaded = {
    objectOpen: f("void *bpf_object__open_file(const char *path, void *opts)"),
    objectLoad: f("int bpf_object__load(void *obj)"),
    objectClose: f("void bpf_object__close(void *obj)"),
    findMap: f("void *bpf_object__find_map_by_name(void *obj, const char *name)"),
    nextMap: f("void *bpf_object__next_map(void *obj, void *map)"),
    mapName: f("const char *bpf_map__name(void *map)"),
    mapReuse: f("int bpf_map__reuse_fd(void *map, int fd)"),
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
    mapCreate: f(
      "int bpf_map_create(int type, const char *name, uint32_t key, uint32_t value, uint32_t count, void *opts)",
    ),
    btfById: f("int bpf_btf_get_fd_by_id(uint32_t id)"),
    pin: f("int bpf_obj_pin(int fd, const char *path)"),
    get: f("int bpf_obj_get(const char *path)"),
    infoByFd: f("int bpf_obj_get_info_by_fd(int fd, void *info, void *len)"),
    lookup: f("int bpf_map_lookup_elem(int fd, void *key, void *value)"),
    update: f("int bpf_map_update_elem(int fd, void *key, void *value, uint64_t flags)"),
    remove: f("int bpf_map_delete_elem(int fd, void *key)"),
    pop: f("int bpf_map_lookup_and_delete_elem(int fd, void *key, void *value)"),
    nextKey: f("int bpf_map_get_next_key(int fd, void *key, void *next)"),
    lookupBatch: f(
      "int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, void *count, void *opts)",
    ),
    updateBatch: f("int bpf_map_update_batch(int fd, void *keys, void *values, void *count, void *opts)"),
    removeBatch: f("int bpf_map_delete_batch(int fd, void *keys, void *count, void *opts)"),
    testRun: f("int bpf_prog_test_run_opts(int fd, void *opts)"),
    tcHookCreate: f("int bpf_tc_hook_create(void *hook)"),
    tcHookDestroy: f("int bpf_tc_hook_destroy(void *hook)"),
    tcAttach: f("int bpf_tc_attach(void *hook, void *opts)"),
    tcDetach: f("int bpf_tc_detach(void *hook, void *opts)"),
    setPrint: f("void *libbpf_set_print(void *callback)"),
  };
  return loaded;
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

/** An options struct of libbpf: zeroed, its size in the first word. */
export function options(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeBigUInt64LE(BigInt(size), 0);
  return bytes;
}

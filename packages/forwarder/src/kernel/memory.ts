// Memory that is not the garbage collector's.

import koffi from "koffi";
import { errno, errnoName, libc, type Pointer, SystemCallError } from "./libc.ts";

/** As an ArrayBuffer over it. */
export function viewOf(pointer: Pointer, length: number): ArrayBuffer {
  return koffi.view(pointer, length);
}

/** Memory that the kernel may keep addresses of: it never moves, and lives until `unmap`. */
export interface Mapping {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  /** After this, touching `bytes` ends the process: drop every view first. */
  unmap(): void;
}

export const PROT_READ = 1;
export const PROT_READ_WRITE = 3;
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
    bytes: new Uint8Array(viewOf(address, size)),
    unmap: () => void libc().munmap(address, size),
  };
}

/**
 * Maps `size` bytes of a BPF map from `offset` on, as its programs see them, until `munmap`. Throws with `what`
 * when the kernel refuses.
 */
export function mapShared(
  what: string,
  { fd, size, protection, offset }: Readonly<Record<"fd" | "size" | "protection" | "offset", number>>,
): Pointer {
  const pointer = libc().mmap(null, size, protection, MAP_SHARED, fd, offset);
  if (BigInt.asIntN(64, pointer as bigint) === -1n)
    throw new Error(`mapping ${what} failed with ${errnoName(errno())}`);
  return pointer;
}

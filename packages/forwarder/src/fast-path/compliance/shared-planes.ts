// Programs loaded once for many tests: verifying them takes longer than most tests of the suite, above all on
// an emulated machine. Each test has maps that are as empty as new ones.
import assert from "node:assert/strict";
import { libbpf } from "../../kernel/libbpf.ts";
import { errnoName, libc } from "../../kernel/libc.ts";
import { mapShared, PROT_READ_WRITE, viewOf } from "../../kernel/memory.ts";
import { CounterMap, possibleCpuCount } from "../bpf/counters.ts";
import { type DataPlane, type DataPlaneOptions, loadDataPlane } from "../bpf/data-plane.ts";
import { type MapInfo, mapInfo } from "../bpf/layout/map-info.ts";
import { Ring } from "../bpf/ring.ts";

/** BPF_F_MMAPABLE. */
const MAPPABLE = 1 << 10;
const PAGE_SIZE = 4096;
/** Next hops are numbered from 1 on, and those given back are zero: behind so many of them are no more. */
const HOLE_COUNT_MAX = 256;
/** enum bpf_map_type. */
const TYPE = { HASH: 1, ARRAY: 2, PERCPU_ARRAY: 6, LPM_TRIE: 11, HASH_OF_MAPS: 13, RINGBUF: 27 } as const;
const HASHES: ReadonlySet<number> = new Set([TYPE.HASH, TYPE.LPM_TRIE, TYPE.HASH_OF_MAPS]);

export class SharedPlanes {
  /** That nobody has now, by the sizes of their tables. */
  readonly #idle = new Map<string, DataPlane[]>();

  /** Instead of `loadDataPlane`; nothing is pinned. */
  readonly load = (options: DataPlaneOptions): DataPlane => {
    assert.equal(options.pinDirectory, undefined, "pinned maps are not shared");
    assert.equal(options.objectFile, undefined, "programs of another object are not shared");
    const { flowCountMax, puntRingBytes, xdp = true } = options;
    const name = `${flowCountMax} flows, rings of ${puntRingBytes}, XDP ${xdp}`;
    const idle = this.#idle.get(name) ?? [];
    this.#idle.set(name, idle);
    const plane = idle.pop() ?? loadDataPlane(options);
    // Not a copy: that would have the XDP program verified for one who never runs it.
    return Object.create(plane, { close: { value: () => emptied(plane) && idle.push(plane) } }) as DataPlane;
  };
}

/** false: it cannot be, and is closed. */
function emptied(plane: DataPlane): boolean {
  // INITs and SYNs beyond the budget are remembered among a million others: not worth a search.
  if ((new CounterMap(plane.maps.hf_counters).totals().get("drop.punt-rate") ?? 0) > 0) {
    plane.close();
    return false;
  }
  for (const [name, fd] of Object.entries(plane.maps)) empty(name, fd);
  return true;
}

function empty(name: string, fd: number): void {
  const info = mapInfo(fd);
  if (HASHES.has(info.type)) removeAll(name, fd, info);
  else if (info.type === TYPE.ARRAY && (info.flags & MAPPABLE) !== 0) wipe(name, fd, info);
  else if (name === "hf_nexthops") zeroUsed(name, fd, info);
  else if (info.type === TYPE.ARRAY) zeroAll(name, fd, info);
  else if (info.type === TYPE.PERCPU_ARRAY) zeroEach(name, fd, info);
  else if (info.type === TYPE.RINGBUF) drain(fd, info);
  else assert.fail(`${name} is of type ${info.type}: how is it emptied?`);
}

function removeAll(name: string, fd: number, { keySize }: MapInfo): void {
  const key = Buffer.alloc(keySize);
  while (libbpf().nextKey(fd, null, key) === 0) done(name, libbpf().remove(fd, key));
}

/** Keys of arrays, and zeroes enough for the largest: made once. */
let keys = Buffer.alloc(0);
let zeroes = Buffer.alloc(0);

function zeroAll(name: string, fd: number, { entryCountMax, valueSize }: MapInfo): void {
  const size = entryCountMax * valueSize;
  if (zeroes.length < size) zeroes = Buffer.alloc(size);
  if (keys.length < entryCountMax * 4)
    keys = Buffer.from(Uint32Array.from({ length: entryCountMax }, (_, index) => index).buffer);
  const count = Buffer.alloc(4);
  count.writeUInt32LE(entryCountMax);
  done(name, libbpf().updateBatch(fd, keys, zeroes, count, null));
  assert.equal(count.readUInt32LE(), entryCountMax, name);
}

/** Without a system call for each entry. */
function wipe(name: string, fd: number, { entryCountMax, valueSize }: MapInfo): void {
  const bytes = entryCountMax * ((valueSize + 7) & ~7);
  const size = Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
  const pointer = mapShared(name, { fd, size, protection: PROT_READ_WRITE, offset: 0 });
  new Uint8Array(viewOf(pointer, size)).fill(0);
  libc().munmap(pointer, size);
}

function zeroUsed(name: string, fd: number, { entryCountMax, valueSize }: MapInfo): void {
  const key = Buffer.alloc(4);
  const value = Buffer.alloc(valueSize);
  const zero = Buffer.alloc(valueSize);
  let holeCount = 0;
  for (let index = 0; index < entryCountMax && holeCount < HOLE_COUNT_MAX; index++) {
    key.writeUInt32LE(index);
    done(name, libbpf().lookup(fd, key, value));
    holeCount = value.equals(zero) ? holeCount + 1 : 0;
    if (holeCount === 0) done(name, libbpf().update(fd, key, zero, 0));
  }
}

function zeroEach(name: string, fd: number, { entryCountMax, valueSize }: MapInfo): void {
  const key = Buffer.alloc(4);
  const value = Buffer.alloc(((valueSize + 7) & ~7) * possibleCpuCount());
  for (let index = 0; index < entryCountMax; index++) {
    key.writeUInt32LE(index);
    done(name, libbpf().update(fd, key, value, 0));
  }
}

/** What nobody has read is of an earlier test. */
function drain(fd: number, { entryCountMax }: MapInfo): void {
  const ring = new Ring(fd, entryCountMax);
  ring.drain(Number.POSITIVE_INFINITY, () => {});
  ring.close();
}

function done(name: string, result: number): void {
  assert.equal(result, 0, `emptying ${name}: ${errnoName(result)}`);
}

// Copies what a map holds into one of another layout.

import { libbpf } from "../../../kernel/libbpf.ts";
import { ERRNO, errnoName } from "../../../kernel/libc.ts";
import { possibleCpuCount } from "../counters.ts";
import { MAP_TYPE } from "./layout.ts";
import { mapInfo } from "./map-info.ts";
import type { Conversion } from "./plan.ts";

const BATCH_COUNT = 4_096;

/** How many entries were moved. Throws when the new map does not take them. */
export function moveEntries(from: number, to: number, key: Conversion, value: Conversion): number {
  if (mapInfo(from).type === MAP_TYPE.PERCPU_ARRAY) return moveOfEachCpu(from, to, value);
  const bpf = libbpf();
  const keys = Buffer.alloc(BATCH_COUNT * key.fromSize);
  const values = Buffer.alloc(BATCH_COUNT * value.fromSize);
  const newKeys = Buffer.alloc(BATCH_COUNT * key.toSize);
  const newValues = Buffer.alloc(BATCH_COUNT * value.toSize);
  const count = Buffer.alloc(4);
  let moved = 0;
  for (let cursor: Buffer | null = null; ; ) {
    const next = Buffer.alloc(Math.max(key.fromSize, 4));
    count.writeUInt32LE(BATCH_COUNT);
    const result = bpf.lookupBatch(from, cursor, next, keys, values, count, null);
    if (result !== 0 && -result !== ERRNO["ENOENT"])
      throw new Error(`reading failed with ${errnoName(result)}`);
    const found = count.readUInt32LE(0);
    for (let i = 0; i < found; i++) {
      key.apply(keys, i * key.fromSize, newKeys, i * key.toSize);
      value.apply(values, i * value.fromSize, newValues, i * value.toSize);
    }
    const written = found === 0 ? 0 : bpf.updateBatch(to, newKeys, newValues, count, null);
    if (written !== 0) throw new Error(`writing failed with ${errnoName(written)}`);
    moved += found;
    if (result !== 0) return moved;
    cursor = next;
  }
}

/** Counters: a value of each processor, eight bytes apart at least. */
function moveOfEachCpu(from: number, to: number, value: Conversion): number {
  const cpus = possibleCpuCount();
  const [oldStep, newStep] = [stepOf(value.fromSize), stepOf(value.toSize)];
  const old = Buffer.alloc(oldStep * cpus);
  const next = Buffer.alloc(newStep * cpus);
  const { entryCountMax } = mapInfo(from);
  const key = Buffer.alloc(4);
  for (let index = 0; index < entryCountMax; index++) {
    key.writeUInt32LE(index);
    if (libbpf().lookup(from, key, old) !== 0) continue;
    for (let cpu = 0; cpu < cpus; cpu++) value.apply(old, cpu * oldStep, next, cpu * newStep);
    libbpf().update(to, key, next, 0);
  }
  return entryCountMax;
}

function stepOf(size: number): number {
  return Math.ceil(size / 8) * 8;
}

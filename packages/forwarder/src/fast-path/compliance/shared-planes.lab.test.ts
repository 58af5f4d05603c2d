// What one test of the suite leaves in the maps is not there for the next.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import { silentLogger } from "@holdfast/model";
import { libbpf } from "../../kernel/libbpf.ts";
import { libc } from "../../kernel/libc.ts";
import { COUNTER_BASE, DROP_REASON, LIMITS, OFFER } from "../bpf/abi.ts";
import { possibleCpuCount } from "../bpf/counters.ts";
import type { DataPlane } from "../bpf/data-plane.ts";
import { mapInfo } from "../bpf/layout/map-info.ts";
import { SharedPlanes } from "./shared-planes.ts";

const OPTIONS = { flowCountMax: 64, puntRingBytes: 4096, log: silentLogger };
/** One for the file, where verifying is all that takes time. */
const { load } = new SharedPlanes();
const PERCPU_ARRAY = 6;
const RINGBUF = 27;
const HASH_OF_MAPS = 13;
const MAP_TYPE_QUEUE = 22;
/** Of hf_counters. */
const PUNT_RATE = COUNTER_BASE.DROP + DROP_REASON.PUNT_RATE;

/** Everything that can be read of every map but the rings, which have no entries. */
function contents({ maps }: DataPlane): Map<string, string> {
  const entries = new Map<string, string>();
  for (const [name, fd] of Object.entries(maps)) {
    const { type, keySize, valueSize } = mapInfo(fd);
    if (type === RINGBUF) continue;
    const next = Buffer.alloc(keySize);
    const value = Buffer.alloc(((valueSize + 7) & ~7) * (type === PERCPU_ARRAY ? possibleCpuCount() : 1));
    for (let key: Buffer | null = null; libbpf().nextKey(fd, key, next) === 0; key = Buffer.from(next)) {
      assert.equal(libbpf().lookup(fd, next, value), 0, name);
      if (value.some((byte) => byte !== 0))
        entries.set(`${name} ${next.toString("hex")}`, value.toString("hex"));
    }
  }
  return entries;
}

/** What a map of maps may hold. */
function queue(): number {
  const fd = libbpf().mapCreate(MAP_TYPE_QUEUE, "hf_offer", 0, OFFER.SIZE, LIMITS.OFFER_COUNT_MAX, null);
  assert.ok(fd >= 0);
  return fd;
}

/** An entry of ones in every map. */
function fill({ maps }: DataPlane): number {
  let count = 0;
  for (const [name, fd] of Object.entries(maps)) {
    const { type, keySize, valueSize } = mapInfo(fd);
    if (type === RINGBUF) continue;
    const key = Buffer.alloc(keySize);
    // An array's second entry where it has one, a prefix of eight bits of the trie.
    key.writeUInt32LE(name === "hf_allowed" ? 8 : name === "hf_state" ? 0 : 1);
    const value = Buffer.alloc(((valueSize + 7) & ~7) * possibleCpuCount(), 1);
    const inner = type === HASH_OF_MAPS ? queue() : undefined;
    if (inner !== undefined) value.writeUInt32LE(inner);
    assert.equal(libbpf().update(fd, key, value, 0), 0, name);
    if (inner !== undefined) libc().close(inner);
    count++;
  }
  return count;
}

test("maps of a shared plane are as empty as new ones, every time", () => {
  const first = load(OPTIONS);
  const fresh = contents(first);
  const filled = fill(first);
  assert.ok(filled > 10 && contents(first).size >= filled, `${filled} maps have something`);
  first.close();
  const second = load(OPTIONS);
  assert.equal(second.tcProgram, first.tcProgram, "the programs are the same");
  assert.deepEqual(contents(second), fresh);
  second.close();
});

test("every map of the programs is emptied, but for refused packets and scratch space", () => {
  const source = readFileSync(new URL("../bpf/program/maps.h", import.meta.url), "utf8");
  const names = [...source.matchAll(/^\} (hf_\w+) SEC\("\.maps"\);$/gm)].map(([, name]) => name as string);
  const plane = load(OPTIONS);
  assert.deepEqual([...Object.keys(plane.maps), "hf_knocks", "hf_scratch"].sort(), names.sort());
  plane.close();
});

test("who loads while another has the programs, or wants other tables, has some of their own", () => {
  const first = load(OPTIONS);
  const others = [load(OPTIONS), load({ ...OPTIONS, flowCountMax: 128 })];
  const all = [first, ...others];
  assert.equal(new Set(all.map(({ tcProgram }) => tcProgram)).size, all.length);
  assert.deepEqual(
    all.map(({ flowCountMax }) => flowCountMax),
    [64, 64, 128],
  );
  for (const plane of all) plane.close();
});

test("the XDP program is verified when somebody asks for it, and once", () => {
  const programCount = () => readdirSync("/proc/self/fd").filter(isProgram).length;
  const first = load(OPTIONS);
  const before = programCount();
  const { xdpProgram } = first;
  assert.equal(programCount(), before + 1);
  first.close();
  const second = load(OPTIONS);
  assert.equal(second.xdpProgram, xdpProgram);
  second.close();
});

/** A descriptor of this process. */
function isProgram(name: string): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${name}`) === "anon_inode:bpf-prog";
  } catch {
    // That of the directory, which is closed.
    return false;
  }
}

test("programs that remember packets beyond a budget are loaded anew", () => {
  const first = load(OPTIONS);
  const key = Buffer.alloc(4);
  key.writeUInt32LE(PUNT_RATE);
  const value = Buffer.alloc(8 * possibleCpuCount(), 1);
  assert.equal(libbpf().update(first.maps.hf_counters, key, value, 0), 0);
  const { quickSeed } = first;
  first.close();
  const second = load(OPTIONS);
  assert.notEqual(second.quickSeed, quickSeed);
  second.close();
});

// Loads the programs over new or pinned maps.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError, type Logger } from "@holdfast/model";
import { libbpf, withLibbpfLog } from "../../kernel/libbpf.ts";
import { ERRNO, errno, errnoName, libc, type Pointer } from "../../kernel/libc.ts";
import { viewOf } from "../../kernel/memory.ts";
import { withoutSignals } from "../../kernel/signals.ts";
import { LIMITS, STATE } from "./abi.ts";
import { clearPins, pinnedNames, preparePinDirectory } from "./bpffs.ts";
import { BPF_OBJECT_FILE } from "./object-file.ts";
import { fillTables } from "./powers.ts";

export const PINNED_MAPS = [
  "hf_flows4",
  "hf_flows6",
  "hf_nexthops",
  "hf_local",
  "hf_ports",
  "hf_interfaces",
  "hf_state",
  "hf_counters",
  "hf_buckets",
  "hf_proven",
  "hf_unproven",
] as const;
export type MapName = (typeof PINNED_MAPS)[number];

export interface DataPlane {
  /** Maps were there already: an earlier daemon's, with its flows. */
  readonly adopted: boolean;
  /** Of each flow table; an adopted one keeps its own. */
  readonly flowCountMax: number;
  /** Of each punt ring; an adopted one keeps its own. */
  readonly puntRingBytes: number;
  readonly maps: Readonly<Record<MapName, number>>;
  readonly tcProgram: number;
  readonly clockProgram: number;
  /** undefined: the kernel refused it; the reason is in the log. */
  readonly xdpProgram: number | undefined;
  /** Why there is no XDP program. */
  readonly xdpRefused: string | undefined;
  readonly pinDirectory: string | undefined;
  close(): void;
}

export interface DataPlaneOptions {
  /** undefined: nothing is pinned, and all is gone with the process. */
  readonly pinDirectory?: string;
  readonly flowCountMax: number;
  readonly puntRingBytes: number;
  readonly log: Logger;
  readonly objectFile?: string;
}

/** The verifier gives up, and asks for another try, when a signal comes or memory is short for a moment. */
const LOAD_ATTEMPT_COUNT_MAX = 5;
const INFO_SIZE = 256;
const INFO_MAX_ENTRIES_OFFSET = 16;

/** Throws BPF_LIBRARY_MISSING, BPF_OBJECT_MISSING, BPF_FS_UNAVAILABLE, BPF_NOT_PERMITTED, BPF_LOAD_FAILED. */
export function loadDataPlane(options: DataPlaneOptions): DataPlane {
  const file = options.objectFile ?? BPF_OBJECT_FILE;
  if (!existsSync(file)) throw new HoldfastError("BPF_OBJECT_MISSING", { file });
  try {
    libbpf();
  } catch (cause) {
    throw new HoldfastError("BPF_LIBRARY_MISSING", { reason: String(cause) }, { cause });
  }
  const mapDirectory = options.pinDirectory && join(options.pinDirectory, "maps");
  let sizes: Sizes = options;
  let adopted = false;
  if (options.pinDirectory !== undefined && mapDirectory !== undefined) {
    preparePinDirectory(mapDirectory);
    const found = pinnedSizes(mapDirectory);
    if (found === "other-abi") {
      options.log.warn(
        { pinDirectory: options.pinDirectory },
        "the pinned data plane is of another version: its flows are given up, the replicas bring them back",
      );
      clearPins(options.pinDirectory);
      preparePinDirectory(mapDirectory);
    } else if (found !== undefined) {
      adopted = true;
      if (found.flowCountMax !== sizes.flowCountMax || found.puntRingBytes !== sizes.puntRingBytes) {
        options.log.warn(
          { configured: sizes.flowCountMax, pinned: found.flowCountMax },
          "the pinned tables keep their sizes until the data plane is uninstalled",
        );
      }
      sizes = found;
    }
  }
  // The verifier may know less than this one on older kernels: TC alone is enough to work.
  let object: Pointer;
  let xdpRefused: string | undefined;
  try {
    object = load(file, mapDirectory, sizes, true);
  } catch (error) {
    if (!(error instanceof HoldfastError) || error.code !== "BPF_LOAD_FAILED") throw error;
    object = load(file, mapDirectory, sizes, false);
    xdpRefused = String(error.details["reason"]);
    options.log.warn({ reason: xdpRefused }, "this kernel refuses the XDP program: TC only");
  }
  const bpf = libbpf();
  const maps = {} as Record<MapName, number>;
  for (const name of PINNED_MAPS) maps[name] = bpf.mapFd(bpf.findMap(object, name));
  const program = (name: string) => bpf.programFd(bpf.findProgram(object, name));
  return {
    adopted,
    flowCountMax: sizes.flowCountMax,
    puntRingBytes: sizes.puntRingBytes,
    maps,
    tcProgram: program("holdfast_tc"),
    clockProgram: program("holdfast_clock"),
    xdpProgram: xdpRefused === undefined ? program("holdfast_xdp") : undefined,
    xdpRefused,
    pinDirectory: options.pinDirectory,
    close: () => bpf.objectClose(object),
  };
}

interface Sizes {
  readonly flowCountMax: number;
  readonly puntRingBytes: number;
}

type LoadResult =
  | { readonly object: Pointer }
  | { readonly error: number; readonly lines: readonly string[] };

function load(file: string, mapDirectory: string | undefined, sizes: Sizes, xdp: boolean): Pointer {
  const loaded = retried(() => loadOnce(file, mapDirectory, sizes, xdp));
  if ("object" in loaded) return loaded.object;
  const { error, lines } = loaded;
  const name = errnoName(error);
  if (name === "EPERM" && !lines.some((line) => line.includes("processed"))) {
    throw new HoldfastError("BPF_NOT_PERMITTED", { reason: name });
  }
  throw new HoldfastError("BPF_LOAD_FAILED", { reason: `${name}: ${lines.slice(-12).join("; ")}` });
}

/** Tries again while the kernel says EAGAIN or EINTR, `LOAD_ATTEMPT_COUNT_MAX` times at most. */
export function retried<T extends { readonly object: unknown } | { readonly error: number }>(
  attempt: () => T,
): T {
  for (let left = LOAD_ATTEMPT_COUNT_MAX; ; left--) {
    const result = attempt();
    if (!("error" in result) || left <= 1) return result;
    const error = Math.abs(result.error);
    if (error !== ERRNO["EAGAIN"] && error !== ERRNO["EINTR"]) return result;
  }
}

function loadOnce(file: string, mapDirectory: string | undefined, sizes: Sizes, xdp: boolean): LoadResult {
  const bpf = libbpf();
  const opened = withLibbpfLog(() => bpf.objectOpen(file, null));
  const object = opened.result;
  if (object === null || object === 0n) {
    throw new HoldfastError("BPF_LOAD_FAILED", { reason: opened.lines.join("; ") || errnoName(errno()) });
  }
  for (const name of ["hf_flows4", "hf_flows6"]) {
    bpf.mapSetMaxEntries(bpf.findMap(object, name), sizes.flowCountMax);
  }
  for (const name of ["hf_proven", "hf_unproven"]) {
    bpf.mapSetMaxEntries(bpf.findMap(object, name), sizes.puntRingBytes);
  }
  if (mapDirectory !== undefined) {
    for (const name of PINNED_MAPS) bpf.mapSetPinPath(bpf.findMap(object, name), join(mapDirectory, name));
  }
  bpf.programSetAutoload(bpf.findProgram(object, "holdfast_xdp"), xdp);
  const size = Buffer.alloc(8);
  const rodata = bpf.mapInitialValue(bpf.findMap(object, ".rodata"), size);
  fillTables(viewOf(rodata, size.readUInt32LE(0)));
  // A profiler signals its threads every millisecond, and verifying takes longer.
  const { result, lines } = withoutSignals(() => withLibbpfLog(() => bpf.objectLoad(object)));
  if (result === 0) return { object };
  bpf.objectClose(object);
  return { error: result, lines };
}

/** The sizes of pinned maps; undefined when nothing is pinned. */
function pinnedSizes(mapDirectory: string): Sizes | "other-abi" | undefined {
  const names = pinnedNames(mapDirectory);
  if (names.length === 0) return undefined;
  // A start that died half-way leaves some of them: nothing to keep.
  if (!PINNED_MAPS.every((name) => names.includes(name))) return "other-abi";
  const bpf = libbpf();
  const state = bpf.get(join(mapDirectory, "hf_state"));
  const flows = bpf.get(join(mapDirectory, "hf_flows4"));
  const ring = bpf.get(join(mapDirectory, "hf_proven"));
  try {
    if (state < 0 || flows < 0 || ring < 0) return "other-abi";
    const value = Buffer.alloc(STATE.SIZE);
    if (mapInfo(state).readUInt32LE(12) !== STATE.SIZE) return "other-abi";
    if (bpf.lookup(state, Buffer.alloc(4), value) !== 0) return "other-abi";
    if (value.readUInt32LE(STATE.abiVersion) !== LIMITS.ABI_VERSION) return "other-abi";
    return {
      flowCountMax: mapInfo(flows).readUInt32LE(INFO_MAX_ENTRIES_OFFSET),
      puntRingBytes: mapInfo(ring).readUInt32LE(INFO_MAX_ENTRIES_OFFSET),
    };
  } finally {
    for (const fd of [state, flows, ring]) if (fd >= 0) libc().close(fd);
  }
}

/** struct bpf_map_info: type, id, key_size, value_size, max_entries, … */
function mapInfo(fd: number): Buffer {
  const info = Buffer.alloc(INFO_SIZE);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(INFO_SIZE);
  libbpf().infoByFd(fd, info, size);
  return info;
}

// Loads the programs over new or pinned maps.

import { randomInt } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { HoldfastError, type Logger } from "@holdfast/model";
import { libbpf } from "../../kernel/libbpf.ts";
import type { Pointer } from "../../kernel/libc.ts";
import { viewOf } from "../../kernel/memory.ts";
import { RODATA } from "./abi.ts";
import { clearPins, preparePinDirectory } from "./bpffs.ts";
import { type Layouts, layoutHash, layoutsFrom, layoutsOfObject, layoutText } from "./layout/layout.ts";
import { LAYOUT_1 } from "./layout/layout-1.ts";
import { loadObject, openObject } from "./object.ts";
import { BPF_OBJECT_FILE } from "./object-file.ts";
import { PinDirectory, type PinnedMaps, type Sizes } from "./pins.ts";
import { fillTables } from "./powers.ts";
import { quickSizes } from "./quick-store.ts";
import { XdpProgram } from "./xdp-program.ts";

export const PINNED_MAPS = [
  "hf_flows4",
  "hf_flows6",
  "hf_plain4",
  "hf_plain6",
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
/** Written anew by each daemon. */
const OWN_MAPS = [
  "hf_allowed",
  "hf_quick_buckets",
  "hf_quick_lines",
  "hf_sources",
  "hf_offers",
  "hf_ways",
] as const;
export type MapName = (typeof PINNED_MAPS)[number] | (typeof OWN_MAPS)[number];

export interface DataPlane {
  /** Maps were there already: an earlier daemon's, with its flows. */
  readonly adopted: boolean;
  /** Of each flow table; an adopted one keeps its own. */
  readonly flowCountMax: number;
  /** Of each punt ring; an adopted one keeps its own. */
  readonly puntRingBytes: number;
  readonly maps: Readonly<Record<MapName, number>>;
  /** Of the hash of quick flows. */
  readonly quickSeed: number;
  readonly tcProgram: number;
  readonly clockProgram: number;
  /** Loaded when asked for. undefined: `xdp` is false, or the kernel refused it; the reason is in the log. */
  readonly xdpProgram: number | undefined;
  /** Now, if it may be wanted at all. */
  loadXdp(): void;
  /** Why the kernel refused the XDP program. */
  readonly xdpRefused: string | undefined;
  readonly pinDirectory: string | undefined;
  /** For versions that do not know hashes of layouts: 1 is theirs. */
  readonly layoutNumber: number;
  /** Call when the programs are attached everywhere: maps that were moved from are taken away. */
  settle(): void;
  close(): void;
}

export interface DataPlaneOptions {
  /** undefined: nothing is pinned, and all is gone with the process. */
  readonly pinDirectory?: string;
  readonly flowCountMax: number;
  readonly puntRingBytes: number;
  readonly log: Logger;
  readonly objectFile?: string;
  /** false: there is no XDP program. Default true. */
  readonly xdp?: boolean;
  /** Flows of a layout that cannot be carried over are given up, instead of an error. */
  readonly discardFlows?: boolean;
}

/** What versions that knew layouts by a number read as "another one": theirs was 1. */
const LAYOUT_NUMBER = 2;

/**
 * Throws BPF_LIBRARY_MISSING, BPF_OBJECT_MISSING, BPF_FS_UNAVAILABLE, BPF_NOT_PERMITTED, BPF_LOAD_FAILED,
 * BPF_FLOWS_NOT_CARRIED.
 */
export function loadDataPlane(options: DataPlaneOptions): DataPlane {
  const file = options.objectFile ?? BPF_OBJECT_FILE;
  if (!existsSync(file)) throw new HoldfastError("BPF_OBJECT_MISSING", { file });
  try {
    libbpf();
  } catch (cause) {
    throw new HoldfastError("BPF_LIBRARY_MISSING", { reason: String(cause) }, { cause });
  }
  const layouts = layoutsOfObject(readFileSync(file), PINNED_MAPS);
  const pins =
    options.pinDirectory === undefined ? undefined : new PinDirectory(options.pinDirectory, layouts);
  const found = pins === undefined ? undefined : pinnedBefore(options, pins);
  const sizes = found?.sizes ?? options;
  try {
    const quickSeed = randomInt(2 ** 32);
    const load = { file, sizes, quickSeed, pins, found };
    const object = loadObject(() => openSized(load));
    const xdp = new XdpProgram(file, object, options.log);
    const bpf = libbpf();
    const maps = {} as Record<MapName, number>;
    for (const name of PINNED_MAPS) maps[name] = bpf.mapFd(bpf.findMap(object, name));
    if (pins !== undefined && found?.isMoved === true) moveOver(options.log, pins, found, maps, layouts);
    for (const name of OWN_MAPS) maps[name] = bpf.mapFd(bpf.findMap(object, name));
    const program = (name: string) => bpf.programFd(bpf.findProgram(object, name));
    return {
      adopted: found !== undefined,
      flowCountMax: sizes.flowCountMax,
      puntRingBytes: sizes.puntRingBytes,
      layoutNumber: layoutText(layouts) === layoutText(layoutsFrom(LAYOUT_1)) ? 1 : LAYOUT_NUMBER,
      maps,
      quickSeed,
      tcProgram: program("holdfast_tc"),
      clockProgram: program("holdfast_clock"),
      get xdpProgram() {
        return options.xdp === false ? undefined : xdp.fd;
      },
      loadXdp: () => void (options.xdp !== false && xdp.fd),
      get xdpRefused() {
        return xdp.refused;
      },
      pinDirectory: options.pinDirectory,
      settle: () => {
        if (found?.isMoved === true) pins?.settle();
      },
      close: () => {
        xdp.close();
        bpf.objectClose(object);
      },
    };
  } finally {
    found?.close();
  }
}

/** Pinned maps to go on with; undefined: there are none, or none any more. Throws BPF_FLOWS_NOT_CARRIED. */
function pinnedBefore(options: DataPlaneOptions, pins: PinDirectory): PinnedMaps | undefined {
  const { log } = options;
  const pinDirectory = options.pinDirectory as string;
  pins.recover();
  preparePinDirectory(pins.maps);
  const found = pins.find();
  if (typeof found === "object" && !("refused" in found)) {
    if (
      found.sizes.flowCountMax !== options.flowCountMax ||
      found.sizes.puntRingBytes !== options.puntRingBytes
    )
      log.warn(
        { configured: options.flowCountMax, pinned: found.sizes.flowCountMax },
        "the pinned tables keep their sizes until the data plane is uninstalled",
      );
    // Those of earlier versions have none.
    if (!found.isMoved) pins.describe();
    return found;
  }
  if (typeof found === "object") {
    const reason = found.refused;
    if (options.discardFlows !== true)
      throw new HoldfastError("BPF_FLOWS_NOT_CARRIED", { directory: pinDirectory, reason });
    log.warn(
      { pinDirectory, reason },
      "the pinned data plane cannot be carried over: its flows are discarded, the replicas bring them back",
    );
  }
  if (found !== "nothing") {
    clearPins(pinDirectory);
    preparePinDirectory(pins.maps);
  }
  pins.describe();
  return undefined;
}

function moveOver(
  log: Logger,
  pins: PinDirectory,
  found: PinnedMaps,
  maps: Readonly<Record<MapName, number>>,
  layouts: Layouts,
): void {
  const startedMs = performance.now();
  const moved = pins.move(found, maps);
  log.info(
    {
      from: found.layout,
      to: layoutHash(layouts),
      moved: Object.fromEntries(moved),
      ms: Math.round(performance.now() - startedMs),
    },
    "the pinned maps are of another layout: what they hold was moved over",
  );
}

interface Load {
  readonly file: string;
  readonly sizes: Sizes;
  readonly quickSeed: number;
  readonly pins: PinDirectory | undefined;
  readonly found: PinnedMaps | undefined;
}

/** The programs but XDP's, with maps of these sizes, over those that are pinned. */
function openSized({ file, sizes, quickSeed, pins, found }: Load): Pointer {
  const bpf = libbpf();
  const object = openObject(file);
  for (const name of ["hf_flows4", "hf_flows6", "hf_plain4", "hf_plain6"]) {
    bpf.mapSetMaxEntries(bpf.findMap(object, name), sizes.flowCountMax);
  }
  const quick = quickSizes(sizes.flowCountMax);
  bpf.mapSetMaxEntries(bpf.findMap(object, "hf_quick_buckets"), quick.buckets);
  bpf.mapSetMaxEntries(bpf.findMap(object, "hf_quick_lines"), quick.lines + 1);
  for (const name of ["hf_proven", "hf_unproven"]) {
    bpf.mapSetMaxEntries(bpf.findMap(object, name), sizes.puntRingBytes);
  }
  for (const name of pins === undefined ? [] : PINNED_MAPS) {
    // What is to be moved into is made anew, and pinned when it is filled.
    if (found !== undefined && found.plan(name)?.kind !== "keep") continue;
    bpf.mapSetPinPath(bpf.findMap(object, name), join((pins as PinDirectory).maps, name));
  }
  bpf.programSetAutoload(bpf.findProgram(object, "holdfast_xdp"), false);
  const size = Buffer.alloc(8);
  const rodata = bpf.mapInitialValue(bpf.findMap(object, ".rodata"), size);
  const constants = viewOf(rodata, size.readUInt32LE(0));
  fillTables(constants);
  const view = new DataView(constants);
  view.setUint32(RODATA.quickMask, quick.buckets - 1, true);
  view.setUint32(RODATA.quickSeed, quickSeed, true);
  return object;
}

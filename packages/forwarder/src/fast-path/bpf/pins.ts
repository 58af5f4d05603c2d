// Maps that an earlier daemon has pinned: kept as they are, or moved into maps of the layout that the
// programs want now.
//
//   maps/   what is in force, with its description
//   next/   of a move: new maps and those that stay, until the programs over them are attached
//   old/    between two renames
//
// A daemon that dies half-way leaves maps/ whole, or a whole next/ alone.
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { libbpf } from "../../kernel/libbpf.ts";
import { errnoName, libc } from "../../kernel/libc.ts";
import { pinnedNames, removePins } from "./bpffs.ts";
import { type Layouts, layoutHash, layoutsFrom } from "./layout/layout.ts";
import { LAYOUT_1 } from "./layout/layout-1.ts";
import { mapInfo } from "./layout/map-info.ts";
import { moveEntries } from "./layout/move.ts";
import { DESCRIPTION_MAP, pinDescription, pinnedLayouts, readDescription } from "./layout/pinned.ts";
import { type MapPlan, planOf } from "./layout/plan.ts";

export interface Sizes {
  readonly flowCountMax: number;
  readonly puntRingBytes: number;
}

/**
 * What they hold is written anew by the daemon at its start, or is worth a moment: where it cannot be moved,
 * it begins empty.
 */
const MADE_AGAIN: ReadonlySet<string> = new Set([
  "hf_state",
  "hf_interfaces",
  "hf_counters",
  "hf_buckets",
  "hf_proven",
  "hf_unproven",
]);

export interface PinnedMaps {
  readonly sizes: Sizes;
  /** Hash of their layout. */
  readonly layout: string;
  /** undefined: the map is new to this layout. */
  fd(name: string): number | undefined;
  plan(name: string): MapPlan | undefined;
  readonly isMoved: boolean;
  close(): void;
}

/**
 * "incomplete": of a start that died half-way, with nothing to keep. `refused`: why flows cannot be carried
 * over.
 */
export type FoundPins = PinnedMaps | "nothing" | "incomplete" | { readonly refused: string };

export class PinDirectory {
  readonly maps: string;
  readonly #next: string;
  readonly #old: string;
  readonly #wanted: Layouts;

  constructor(directory: string, wanted: Layouts) {
    this.maps = join(directory, "maps");
    this.#next = join(directory, "next");
    this.#old = join(directory, "old");
    this.#wanted = wanted;
  }

  /** Puts right what a death half-way has left. */
  recover(): void {
    if (!existsSync(this.maps) && existsSync(this.#next)) renameSync(this.#next, this.maps);
    for (const left of [this.#next, this.#old]) if (existsSync(left)) removePins(left);
  }

  find(): FoundPins {
    const names = pinnedNames(this.maps).filter((name) => name !== DESCRIPTION_MAP);
    const expected = (readDescription(this.maps) ?? layoutsFrom(LAYOUT_1)).keys();
    if (names.length === 0) return "nothing";
    if (![...expected].every((name) => names.includes(name))) return "incomplete";
    const fds = new Map(names.map((name) => [name, libbpf().get(join(this.maps, name))] as const));
    const close = () => {
      for (const fd of fds.values()) if (fd >= 0) libc().close(fd);
    };
    const found = this.#compared(fds, close);
    if ("refused" in found) close();
    return found;
  }

  #compared(fds: ReadonlyMap<string, number>, close: () => void): PinnedMaps | { readonly refused: string } {
    for (const [name, fd] of fds) if (fd < 0) return { refused: `${name}: ${errnoName(fd)}` };
    const pinned = pinnedLayouts(this.maps, fds);
    if ("reason" in pinned) return { refused: pinned.reason };
    const plans = new Map<string, MapPlan>();
    for (const [name, to] of this.#wanted) {
      const from = pinned.layouts.get(name);
      if (from === undefined) continue;
      const plan = planOf(name, from, to);
      if (plan.kind === "refuse" && !MADE_AGAIN.has(name)) return { refused: plan.reason };
      plans.set(name, plan);
    }
    const gone = [...pinned.layouts.keys()].find((name) => !this.#wanted.has(name) && !MADE_AGAIN.has(name));
    if (gone !== undefined) return { refused: `${gone} is gone` };
    const entryCountMax = (name: string) => mapInfo(fds.get(name) ?? -1).entryCountMax;
    return {
      sizes: { flowCountMax: entryCountMax("hf_flows4"), puntRingBytes: entryCountMax("hf_proven") },
      layout: layoutHash(pinned.layouts),
      fd: (name) => fds.get(name),
      plan: (name) => plans.get(name),
      isMoved: [...this.#wanted.keys()].some((name) => plans.get(name)?.kind !== "keep"),
      close,
    };
  }

  /** The description stands before the maps: what is missing of it was never complete. */
  describe(directory = this.maps): void {
    if (!pinnedNames(directory).includes(DESCRIPTION_MAP)) pinDescription(directory, this.#wanted);
  }

  /** Fills new maps from the pinned ones, and pins all beside them. How many entries each map got. */
  move(found: PinnedMaps, maps: Readonly<Record<string, number>>): Map<string, number> {
    const moved = new Map<string, number>();
    for (const [name, fd] of Object.entries(maps)) {
      const plan = found.plan(name);
      const from = found.fd(name);
      if (plan?.kind !== "move" || from === undefined) continue;
      try {
        moved.set(name, moveEntries(from, fd, plan.key, plan.value));
      } catch (error) {
        throw new Error(`moving ${name}: ${(error as Error).message}`);
      }
    }
    mkdirSync(this.#next, { mode: 0o700 });
    this.describe(this.#next);
    for (const [name, fd] of Object.entries(maps)) {
      const result = libbpf().pin(fd, join(this.#next, name));
      if (result !== 0) throw new Error(`pinning ${name} failed with ${errnoName(result)}`);
    }
    return moved;
  }

  /** The moved maps are in force: the others go. */
  settle(): void {
    renameSync(this.maps, this.#old);
    renameSync(this.#next, this.maps);
    removePins(this.#old);
  }
}

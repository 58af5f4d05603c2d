// Seeds that failed once, cut down to what it takes: kept beside the code, replayed every day.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { memoryJournal } from "@holdfast/sync/testing";
import { type SimulationOptions, simulate } from "./simulation.ts";
import type { Schedule } from "./whole/schedule.ts";
import { kindOf, shrink } from "./whole/shrink.ts";
import { simulateWhole, type WholeOptions } from "./whole/simulation.ts";

const DIRECTORY = new URL("./seeds/", import.meta.url);

export type KeptSeed = {
  /** The first violation that it showed. */
  readonly violation: string;
  /** What it was, once that is known. */
  readonly note?: string;
} & (
  | { readonly kind: "whole"; readonly schedule: Schedule }
  | {
      readonly kind: "replication";
      readonly seed: number;
      readonly memberCount?: number;
      /** Happenings that it takes no notice of, by their number. */
      readonly skip: readonly number[];
    }
);

export function keptSeeds(): { readonly name: string; readonly kept: KeptSeed }[] {
  return readdirSync(DIRECTORY)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .map((name) => ({ name, kept: JSON.parse(readFileSync(new URL(name, DIRECTORY), "utf8")) as KeptSeed }));
}

/** The violations of a kept seed now. */
export async function replay(kept: KeptSeed): Promise<readonly string[]> {
  if (kept.kind === "whole") return (await simulateWhole({ schedule: kept.schedule })).violations;
  const { seed, memberCount, skip } = kept;
  const options = { seed, journals: memoryJournal, skip: new Set(skip) };
  return (await simulate(memberCount === undefined ? options : { ...options, memberCount })).violations;
}

export async function shrinkWhole(options: WholeOptions, violation: string): Promise<KeptSeed> {
  const { schedule } = options;
  const events = await shrink(schedule.events, async (part) => {
    const { violations } = await simulateWhole({ ...options, schedule: { ...schedule, events: part } });
    return kindOf(violations[0]) === kindOf(violation);
  });
  const smaller = { ...schedule, events };
  const { violations } = await simulateWhole({ ...options, schedule: smaller });
  return { kind: "whole", violation: violations[0] ?? violation, schedule: smaller };
}

export async function shrinkReplication(
  options: SimulationOptions,
  violation: string,
  happeningCount: number,
): Promise<KeptSeed> {
  const all = Array.from({ length: happeningCount }, (_, i) => i);
  const skipOf = (part: readonly number[]) => {
    const needed = new Set(part);
    return all.filter((i) => !needed.has(i));
  };
  const needed = await shrink(all, async (part) => {
    const { violations } = await simulate({ ...options, skip: new Set(skipOf(part)) });
    return kindOf(violations[0]) === kindOf(violation);
  });
  const { seed, memberCount } = options;
  const kept = { kind: "replication" as const, violation, seed, skip: skipOf(needed) };
  return memberCount === undefined ? kept : { ...kept, memberCount };
}

/** Writes it down; the name says seed and kind. */
export function keep(kept: KeptSeed): string {
  const seed = kept.kind === "whole" ? kept.schedule.seed : kept.seed;
  const name = `${kept.kind}-${seed}.json`;
  mkdirSync(DIRECTORY, { recursive: true });
  writeFileSync(new URL(name, DIRECTORY), `${JSON.stringify(kept, undefined, 1)}\n`);
  return `test/simulation/seeds/${name}`;
}

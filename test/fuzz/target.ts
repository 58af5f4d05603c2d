// What is fuzzed: something that takes inputs, one at a time, and throws a Finding when a promise is broken.
import type { Random } from "@holdfast/model";
import type { BlockCoverage } from "./coverage.ts";

export interface Target {
  readonly name: string;
  /** Runs one input that it makes itself. Throws when something does not hold. */
  once(random: Random): void | Promise<void>;
  /** Bytes of the last input, for the report of a failure and for the corpus. */
  readonly last: Uint8Array;
  /** Inputs that reached new code are handed back; absent: no guidance. */
  keep?(random: Random, input: Uint8Array): void;
  /** Figures for the report. */
  figures?(): Readonly<Record<string, number>>;
  /** Checks what holds only over many inputs, and lets go of resources. */
  close?(): void | Promise<void>;
}

export class Finding extends Error {}

/** One input may take so long; a hang shows long before. The machine may be busy: process time, not wall time. */
export const INPUT_TIME_MAX_MS = 500;
const BATCH_SIZE = 512;

export interface TargetReport {
  readonly target: string;
  readonly inputs: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly slowestMs: number;
  readonly newBlocks: number;
  readonly figures: Readonly<Record<string, number>>;
}

/** Runs `count` inputs through a target. */
export async function runTarget(
  target: Target,
  count: number,
  random: Random,
  coverage: BlockCoverage | undefined,
): Promise<TargetReport> {
  const startedMs = performance.now();
  let slowestMs = 0;
  let newBlocks = 0;
  let batch: Uint8Array[] = [];
  coverage?.take();
  for (let i = 0; i < count; i++) {
    const fromMs = performance.now();
    const fromCpu = process.cpuUsage();
    try {
      const pending = target.once(random);
      if (pending !== undefined) await pending;
    } catch (error) {
      throw new Finding(
        `${target.name}, input ${i}: ${(error as Error).message}\ninput ${Buffer.from(target.last).toString("hex")}`,
        { cause: error },
      );
    }
    const tookMs = performance.now() - fromMs;
    if (tookMs > slowestMs) {
      const used = process.cpuUsage(fromCpu);
      slowestMs = Math.max(slowestMs, Math.min(tookMs, (used.user + used.system) / 1_000));
      if (slowestMs > INPUT_TIME_MAX_MS)
        throw new Finding(
          `${target.name}, input ${i}: ${Math.round(slowestMs)} ms of processor time\ninput ${Buffer.from(target.last).toString("hex")}`,
        );
    }
    if (coverage === undefined || target.keep === undefined) continue;
    batch.push(target.last);
    if (batch.length < BATCH_SIZE) continue;
    const fresh = coverage.take();
    newBlocks += fresh;
    if (fresh > 0) for (const input of batch) target.keep(random, input);
    batch = [];
  }
  await target.close?.();
  const seconds = (performance.now() - startedMs) / 1_000;
  return {
    target: target.name,
    inputs: count,
    seconds: round(seconds),
    perSecond: Math.round(count / seconds),
    slowestMs: round(slowestMs),
    newBlocks,
    figures: target.figures?.() ?? {},
  };
}

const round = (value: number) => Math.round(value * 100) / 100;

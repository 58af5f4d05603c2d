// What is fuzzed: something that takes inputs, one at a time, and throws a Finding when a promise is broken.
import type { Random } from "@holdfast/model";
import type { BlockCoverage } from "./coverage.ts";
import type { Watch } from "./watch.ts";

export abstract class Target {
  abstract readonly name: string;
  /** Sees each input before it runs. */
  watch: Watch | undefined;
  #last: Uint8Array = new Uint8Array(0);

  /** Bytes of the last input, for the report of a failure and for the corpus. Set before the input is run. */
  get last(): Uint8Array {
    return this.#last;
  }

  protected set last(input: Uint8Array) {
    this.#last = input;
    this.watch?.begin(input);
  }

  /** Runs one input that it makes itself. Throws when something does not hold. */
  abstract once(random: Random): void | Promise<void>;
  /** Runs one input from elsewhere: of the corpus, or an earlier finding. */
  replay?(input: Uint8Array): void;
  /** An input does the same whatever ran before it. */
  readonly stateless: boolean = false;
  /** Inputs that reached new code are handed back; absent: no guidance. */
  keep?(random: Random, input: Uint8Array): void;
  /** Figures for the report. */
  figures?(): Readonly<Record<string, number>>;
  /** Checks what holds only over many inputs, and lets go of resources. */
  close?(): void | Promise<void>;
}

export class Finding extends Error {
  readonly target: string;
  readonly input: Uint8Array;

  constructor(target: Target, index: number, what: string, cause?: unknown) {
    const input = target.last;
    super(`${target.name}, input ${index}: ${what}\ninput ${Buffer.from(input).toString("hex")}`, { cause });
    this.target = target.name;
    this.input = input;
  }
}

/**
 * One input may take so long. The machine may be busy: process time, not wall time. An input without an end:
 * watch.ts.
 */
export const INPUT_TIME_MAX_MS = 500;
const BATCH_SIZE = 512;
/** The process's time is asked after so many inputs: asking is a system call. */
const CPU_INTERVAL = 64;
const PROGRESS_INTERVAL = 100_000;

export interface TargetReport {
  readonly target: string;
  readonly inputs: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly slowestMs: number;
  readonly newBlocks: number;
  readonly figures: Readonly<Record<string, number>>;
}

export interface RunOptions {
  readonly count: number;
  readonly random: Random;
  readonly coverage?: BlockCoverage | undefined;
  readonly watch?: Watch | undefined;
  /** Each 100,000 inputs. */
  readonly onProgress?: ((target: string, inputs: number, count: number) => void) | undefined;
}

/** Runs `count` inputs through a target. */
export async function runTarget(target: Target, options: RunOptions): Promise<TargetReport> {
  const { count, random, coverage } = options;
  const startedMs = performance.now();
  let slowestMs = 0;
  let newBlocks = 0;
  let batch: Uint8Array[] = [];
  let fromCpu = process.cpuUsage();
  let fromMs = startedMs;
  target.watch = options.watch;
  options.watch?.target(target.name);
  coverage?.take();
  for (let i = 0; i < count; i++) {
    if (i % CPU_INTERVAL === 0) {
      fromCpu = process.cpuUsage();
      fromMs = performance.now();
    }
    if (i > 0 && i % PROGRESS_INTERVAL === 0) options.onProgress?.(target.name, i, count);
    try {
      const pending = target.once(random);
      if (pending !== undefined) await pending;
    } catch (error) {
      throw new Finding(target, i, (error as Error).message, error);
    }
    const nowMs = performance.now();
    const tookMs = nowMs - fromMs;
    fromMs = nowMs;
    if (tookMs > slowestMs) {
      const used = process.cpuUsage(fromCpu);
      slowestMs = Math.max(slowestMs, Math.min(tookMs, (used.user + used.system) / 1_000));
      if (slowestMs > INPUT_TIME_MAX_MS)
        throw new Finding(target, i, `${Math.round(slowestMs)} ms of processor time`);
    }
    if (coverage === undefined || target.keep === undefined) continue;
    batch.push(target.last);
    if (batch.length < BATCH_SIZE) continue;
    const fresh = coverage.take();
    newBlocks += fresh.length;
    for (const input of fresh.length === 0 ? [] : reached(target, batch, fresh, coverage))
      target.keep(random, input);
    batch = [];
    fromMs = performance.now();
  }
  try {
    await target.close?.();
  } catch (error) {
    throw new Finding(target, count, `at the end: ${(error as Error).message}`, error);
  }
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

/**
 * The inputs that reached the blocks: by halves, where an input can be run again by itself; else all of them.
 */
function reached(
  target: Target,
  inputs: readonly Uint8Array[],
  blocks: readonly string[],
  coverage: BlockCoverage,
): readonly Uint8Array[] {
  const { replay } = target;
  if (replay === undefined || !target.stateless) return inputs;
  const wanted = new Set(blocks);
  const found: Uint8Array[] = [];
  const search = (part: readonly Uint8Array[]) => {
    if (wanted.size === 0 || part.length === 0) return;
    for (const input of part) replay.call(target, input);
    const hit = [...coverage.ran()].filter((block) => wanted.has(block));
    if (hit.length === 0) return;
    if (part.length === 1) {
      found.push(part[0] as Uint8Array);
      for (const block of hit) wanted.delete(block);
      return;
    }
    search(part.slice(0, part.length >>> 1));
    search(part.slice(part.length >>> 1));
  };
  search(inputs);
  return found;
}

const round = (value: number) => Math.round(value * 100) / 100;

// Numbers of next hops: which are taken, and by how many flows. A number that no flow has any more is given back, but not at
// once: it must never mean another neighbour to a packet that is under way, or to a flow that is just being written.
import { LIMITS } from "./abi.ts";

/** 0 is the entry that is never resolved. */
const FIRST = 1;
/** How long a number is unused before it is free. */
export const NUMBER_IDLE_MS = 10_000;

export class NexthopNumbers {
  readonly #countMax: number;
  readonly #idleMs: number;
  /** How many flows have it; every number that is taken is here. */
  readonly #held = new Map<number, number>();
  /** Numbers that no flow has, with the time since when, the longest first. */
  readonly #idle = new Map<number, number>();
  readonly #free: number[] = [];
  #next = FIRST;

  constructor(countMax: number = LIMITS.NEXTHOP_COUNT_MAX, idleMs: number = NUMBER_IDLE_MS) {
    this.#countMax = countMax;
    this.#idleMs = idleMs;
  }

  get size(): number {
    return this.#held.size;
  }

  /** A number that means nothing yet; undefined: all are taken. */
  take(nowMs: number): number | undefined {
    const number = this.#free.pop() ?? (this.#next < this.#countMax ? this.#next++ : undefined);
    if (number === undefined) return undefined;
    this.#held.set(number, 0);
    this.#idle.set(number, nowMs);
    return number;
  }

  /** An earlier daemon left it: taken, or a hole that was given back. In the order of the numbers. */
  adopt(number: number, isTaken: boolean, nowMs: number): void {
    this.#next = number + 1;
    if (!isTaken) {
      this.#free.push(number);
      return;
    }
    this.#held.set(number, 0);
    this.#idle.set(number, nowMs);
  }

  /** A flow has the number now; 0 is nobody's. */
  hold(number: number): void {
    const count = this.#held.get(number);
    if (count === undefined) return;
    this.#held.set(number, count + 1);
    this.#idle.delete(number);
  }

  /** A flow that had it has it no more. */
  release(number: number, nowMs: number): void {
    const count = this.#held.get(number);
    if (count === undefined || count === 0) return;
    this.#held.set(number, count - 1);
    if (count === 1) this.#idle.set(number, nowMs);
  }

  /** The numbers that have been unused for long enough; each is free when `forget` was called for it. */
  *unused(nowMs: number): Generator<number> {
    for (const [number, sinceMs] of this.#idle) {
      if (nowMs - sinceMs < this.#idleMs) return;
      yield number;
    }
  }

  forget(number: number): void {
    if (!this.#idle.delete(number)) return;
    this.#held.delete(number);
    this.#free.push(number);
  }
}

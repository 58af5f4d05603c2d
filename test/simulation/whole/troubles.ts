// What is wrong at the moment, and since when nothing is: what a run may be blamed for depends on it.
import type { SimulatedTime } from "../clock.ts";

/** After a member was away, slow or cut off: others may still prefer somebody else for so long. */
const DOUBT_MS = 1_500;

interface Numbered {
  readonly number: number;
}

export class Troubles {
  readonly #time: SimulatedTime;
  readonly #tell: (what: string) => void;
  /** Since when nothing has been cut, stopped or slowed. */
  #quietSinceMs = 0;
  #count = 0;
  /** By member: until then others may have had reason to prefer somebody else. */
  readonly #doubtedUntilMs: number[] = [];

  constructor(time: SimulatedTime, tell: (what: string) => void) {
    this.#time = time;
    this.#tell = tell;
  }

  get isOver(): boolean {
    return this.#count === 0;
  }

  /** Negative infinity while something is wrong. */
  get quietMs(): number {
    return this.#time.nowMs - this.#quietSinceMs;
  }

  isDoubted({ number }: Numbered): boolean {
    return (this.#doubtedUntilMs[number] ?? 0) >= this.#time.nowMs;
  }

  /** Something is wrong until `end` is called. `whom`: others may hold these members for worse than they are. */
  begin(what: string, forMs: number, whom: readonly Numbered[], end: () => void): void {
    this.#tell(what);
    for (const { number } of whom)
      this.#doubtedUntilMs[number] = Math.max(
        this.#doubtedUntilMs[number] ?? 0,
        this.#time.nowMs + forMs + DOUBT_MS,
      );
    this.#add();
    this.#time.at(this.#time.nowMs + forMs, () => {
      this.#remove();
      this.#tell(`over: ${what}`);
      end();
    });
  }

  /** A member is away for as long as it takes. Returns what ends that. */
  absence({ number }: Numbered): () => void {
    this.#doubtedUntilMs[number] = Number.POSITIVE_INFINITY;
    this.#add();
    return () => {
      this.#remove();
      this.#doubtedUntilMs[number] = this.#time.nowMs + DOUBT_MS;
    };
  }

  /** Over as soon as it happened. */
  moment(): void {
    this.#quietSinceMs = Math.max(this.#quietSinceMs, this.#time.nowMs);
  }

  #add(): void {
    this.#count++;
    this.#quietSinceMs = Number.POSITIVE_INFINITY;
  }

  #remove(): void {
    this.#count--;
    if (this.#count === 0) this.#quietSinceMs = this.#time.nowMs;
  }
}

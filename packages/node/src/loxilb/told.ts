// Log lines that a client can cause for ever: each text once a minute.
import type { Clock } from "@holdfast/model";

const PERIOD_MS = 60_000;
const TEXT_COUNT_MAX = 256;

export class Told {
  readonly #clock: Clock;
  readonly #atMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** true: this text is due. */
  isDue(text: string): boolean {
    const nowMs = this.#clock.nowMs();
    const last = this.#atMs.get(text);
    if (last !== undefined && nowMs - last <= PERIOD_MS) return false;
    if (this.#atMs.size >= TEXT_COUNT_MAX) this.#atMs.clear();
    this.#atMs.set(text, nowMs);
    return true;
  }
}

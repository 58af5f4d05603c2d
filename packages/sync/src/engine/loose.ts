// Records that came as answers before any journal brought them. If none ever does, they are forgotten after
// M.
import type { Clock } from "@holdfast/model";
import { LOOSE_COUNT_MAX } from "./settings.ts";

export class Loose {
  readonly #clock: Clock;
  readonly #memoryMs: number;
  /** By the latin1 text of the id, oldest first. */
  readonly #sinceMs = new Map<string, number>();

  constructor(clock: Clock, memoryMs: number) {
    this.#clock = clock;
    this.#memoryMs = memoryMs;
  }

  add(record: Uint8Array, isCarried: boolean): void {
    if (isCarried || record.length < 16) return;
    this.#sinceMs.set(keyOf(record), this.#clock.nowMs());
  }

  carried(record: Uint8Array): void {
    if (this.#sinceMs.size > 0) this.#sinceMs.delete(keyOf(record));
  }

  /** Ids whose time is over, and the oldest ones beyond the maximum. */
  expired(): Uint8Array[] {
    const over: Uint8Array[] = [];
    const beforeMs = this.#clock.nowMs() - this.#memoryMs;
    for (const [key, sinceMs] of this.#sinceMs) {
      if (sinceMs > beforeMs && this.#sinceMs.size <= LOOSE_COUNT_MAX) break;
      this.#sinceMs.delete(key);
      over.push(Buffer.from(key, "latin1"));
    }
    return over;
  }
}

function keyOf(record: Uint8Array): string {
  return Buffer.from(record.buffer, record.byteOffset, 16).toString("latin1");
}

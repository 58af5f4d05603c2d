// Where an INIT had its port until it was given back: for a while an answer may still come, which would not
// say whose it is if the INIT had the port toward another endpoint by then.
import type { Tag } from "@holdfast/model";

export class LeftPorts {
  /** By port and tag, oldest first. */
  readonly #left = new Map<string, { readonly placeKey: string; readonly untilMs: number }>();
  readonly #countMax: number;

  /** Beyond `countMax` the oldest is forgotten. */
  constructor(countMax: number) {
    this.#countMax = countMax;
  }

  add(natPort: number, clientTag: Tag, placeKey: string, untilMs: number): void {
    const key = `${natPort}|${clientTag}`;
    this.#left.delete(key);
    this.#left.set(key, { placeKey, untilMs });
    if (this.#left.size <= this.#countMax) return;
    const [oldest] = this.#left.keys();
    if (oldest !== undefined) this.#left.delete(oldest);
  }

  /** The INIT with this tag had the port at another place, and that is not over yet. */
  isElsewhere(natPort: number, clientTag: Tag, placeKey: string, nowMs: number): boolean {
    const left = this.#left.get(`${natPort}|${clientTag}`);
    return left !== undefined && left.placeKey !== placeKey && left.untilMs > nowMs;
  }
}

// Ports that rest, in the order in which they were given back. All of one queue rest equally long, so that is
// also the order in which they wake.
import { Fifo } from "../fifo.ts";

export interface Rest {
  readonly port: number;
  /** Tells this rest from an earlier one of the same port. */
  readonly sequence: number;
  readonly sinceMs: number;
}

export class RestQueue {
  readonly #entries = new Fifo<Rest>();

  add(port: number, sequence: number, sinceMs: number): void {
    this.#entries.add({ port, sequence, sinceMs });
  }

  /** Those that were not taken yet, the longest resting first. */
  entries(): Iterable<Rest> {
    return this.#entries;
  }

  /** Takes the longest resting entry, when it was given back at `beforeMs` or earlier. */
  takeOlderThan(beforeMs: number): Rest | undefined {
    const { first } = this.#entries;
    return first === undefined || first.sinceMs > beforeMs ? undefined : this.#entries.shift();
  }
}

// What was opened is closed in reverse, also when a start fails half-way.
import type { Logger } from "@holdfast/model";

export type Close = () => Promise<void> | void;

export class Closers {
  readonly #all: Close[] = [];
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  add(...closes: readonly Close[]): void {
    this.#all.push(...closes);
  }

  /** One after the other, the latest first; what fails is logged, and the rest is closed all the same. */
  async close(): Promise<void> {
    for (const close of this.#all.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        this.#logger.error({ err: error }, "a part did not stop cleanly");
      }
    }
  }
}

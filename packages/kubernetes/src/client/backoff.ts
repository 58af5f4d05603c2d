// How long to wait before trying again: twice as long each time, up to a limit, and never all at the same moment.

export interface BackoffOptions {
  readonly firstMs: number;
  readonly mostMs: number;
}

export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #failures = 0;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
  }

  get failures(): number {
    return this.#failures;
  }

  /** After a failure: ms until the next try, at least what the server asked for. */
  next(retryAfterMs = 0): number {
    const { firstMs, mostMs } = this.#options;
    const ceiling = Math.min(mostMs, firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures++;
    return Math.max(retryAfterMs, ceiling / 2 + (ceiling / 2) * this.#random());
  }

  succeeded(): void {
    this.#failures = 0;
  }
}

/** Resolves after `ms`, or at once when `signal` aborts. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end, { once: true });
  });
}

// Waiting for a condition, with a limit: the tests' replacement for sleeping.

let patience = 1;

/** Every limit of `until` is so many times as long from now on: where stacks have slower timers. */
export function setPatience(factor: number): void {
  patience = factor;
}

/** Resolves with the first value that is neither undefined nor false; throws with `what` after `limitMs`. */
export async function until<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  limitMs = 30_000,
  pauseMs = 10,
): Promise<T> {
  const end = performance.now() + limitMs * patience;
  let failure: unknown;
  for (;;) {
    try {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > end) {
      throw new Error(`waited ${limitMs * patience} ms in vain for ${what}`, { cause: failure });
    }
    await pause(pauseMs);
  }
}

/** Lets time pass. Only for traffic that must flow for a while, never to wait for a condition. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** CLOCK_MONOTONIC in ms: the clock of the peers' events and of the captures. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

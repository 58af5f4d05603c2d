// Refusals, of both directions: all are counted, and each is told once in a while.
import type { Clock, Logger, MemberName } from "@holdfast/model";

/** The same refusal of the same peer is logged once in this time; all are counted. */
const REFUSAL_LOG_PERIOD_MS = 60_000;
const REFUSAL_LOG_COUNT_MAX = 256;

export class RefusalLog {
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** By reason. */
  readonly #counts = new Map<string, number>();
  readonly #loggedAtMs = new Map<string, number>();

  constructor(clock: Clock, logger: Logger) {
    this.#clock = clock;
    this.#logger = logger;
  }

  counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** What comes next is told again: something has changed. */
  forgetLogged(): void {
    this.#loggedAtMs.clear();
  }

  note(
    what: string,
    reason: string,
    explanation: string,
    remote: string,
    member: MemberName | undefined,
  ): void {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    // The port of a dialler changes with every try; its address does not.
    const key = `${what} ${reason} ${member ?? remote.replace(/:\d+$/, "")}`;
    const now = this.#clock.nowMs();
    const last = this.#loggedAtMs.get(key);
    if (last !== undefined && now - last < REFUSAL_LOG_PERIOD_MS) return;
    if (this.#loggedAtMs.size >= REFUSAL_LOG_COUNT_MAX) {
      for (const [other, atMs] of this.#loggedAtMs)
        if (now - atMs >= REFUSAL_LOG_PERIOD_MS) this.#loggedAtMs.delete(other);
      // Strangers with ever other addresses: counted, and not a line each.
      if (this.#loggedAtMs.size >= REFUSAL_LOG_COUNT_MAX) return;
    }
    this.#loggedAtMs.set(key, now);
    this.#logger.warn({ reason, explanation, remote, ...(member !== undefined && { member }) }, what);
  }
}

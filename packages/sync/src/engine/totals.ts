// Counters of the engine by stable name, for the metrics.
export class Totals {
  readonly #counts: Record<string, number> = {};

  count(name: string, by = 1): void {
    this.#counts[name] = (this.#counts[name] ?? 0) + by;
  }

  all(): Readonly<Record<string, number>> {
    return this.#counts;
  }
}

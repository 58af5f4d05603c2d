// Metrics whose values somebody else has: read at a scrape, never copied on the way. What a scrape does not read
// any more is not shown any more.
import { Counter, Gauge, type Registry } from "prom-client";

/** A value and its labels. */
export type Row = readonly [labels: Readonly<Record<string, string>>, value: number];
export type Rows = Iterable<Row>;

export interface Collected {
  readonly name: string;
  readonly help: string;
  /** None: one value, without labels. */
  readonly labels?: readonly string[];
}

/** One value that has no labels. */
export const single = (value: number): Rows => [[{}, value]];

export function gauge(
  registers: Registry[],
  { name, help, labels = [] }: Collected,
  read: () => Rows | Promise<Rows>,
): void {
  new Gauge({
    name,
    help,
    labelNames: [...labels],
    registers,
    async collect() {
      const rows = await read();
      this.reset();
      for (const [each, value] of rows) this.set(each, value);
    },
  });
}

export function counter(
  registers: Registry[],
  { name, help, labels = [] }: Collected,
  read: () => Rows,
): void {
  new Counter({
    name,
    help,
    labelNames: [...labels],
    registers,
    collect() {
      this.reset();
      for (const [each, value] of read()) this.inc(each, value);
    },
  });
}

/** A counter whose values are somebody else's totals by name. */
export function totals(
  registers: Registry[],
  { label, ...rest }: Collected & { readonly label: string },
  read: () => Iterable<readonly [string, number]>,
): void {
  counter(registers, { ...rest, labels: [label] }, () =>
    [...read()].map(([key, value]): Row => [{ [label]: key }, value]),
  );
}

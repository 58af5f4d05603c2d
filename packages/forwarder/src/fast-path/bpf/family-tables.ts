// A hash map for each family, visited in batches.

import { libbpf } from "../../kernel/libbpf.ts";
import { ERRNO, errnoName } from "../../kernel/libc.ts";

/** Entries visited by one call. */
export const SWEEP_COUNT_MAX = 1024;

interface Sizes {
  readonly keySize: number;
  readonly valueSize: number;
}

export interface FamilyTable<Layout extends Sizes> {
  readonly layout: Layout;
  readonly fd: number;
  /** For one entry. */
  readonly key: Buffer;
  readonly value: Buffer;
  /** Of the batch that is visited. */
  readonly keys: Buffer;
  readonly values: Buffer;
}

interface Cursor {
  readonly index: number;
  /** The kernel's: which bucket is next; empty: the first. */
  readonly batch: Buffer;
}

export function familyTable<Layout extends Sizes>(layout: Layout, fd: number): FamilyTable<Layout> {
  return {
    layout,
    fd,
    key: Buffer.alloc(layout.keySize),
    value: Buffer.alloc(layout.valueSize),
    keys: Buffer.alloc(layout.keySize * SWEEP_COUNT_MAX),
    values: Buffer.alloc(layout.valueSize * SWEEP_COUNT_MAX),
  };
}

/** A batch of the tables, one behind the other; the cursor to go on with, undefined at the end. */
export function visitBatch<Layout extends Sizes>(
  tables: readonly FamilyTable<Layout>[],
  cursor: unknown,
  each: (table: FamilyTable<Layout>, keyAt: number, valueAt: number) => void,
): unknown {
  const { index, batch } = (cursor as Cursor | undefined) ?? { index: 0, batch: Buffer.alloc(0) };
  const table = tables[index];
  if (table === undefined) return undefined;
  const { layout, fd, keys, values } = table;
  const next = Buffer.alloc(layout.keySize);
  const count = Buffer.alloc(4);
  count.writeUInt32LE(SWEEP_COUNT_MAX);
  const from = batch.length > 0 ? batch : null;
  const result = libbpf().lookupBatch(fd, from, next, keys, values, count, null);
  const ended = result !== 0;
  if (ended && -result !== ERRNO["ENOENT"]) throw new Error(`reading flows failed with ${errnoName(result)}`);
  const found = count.readUInt32LE(0);
  for (let i = 0; i < found; i++) each(table, i * layout.keySize, i * layout.valueSize);
  if (!ended) return { index, batch: next };
  return index + 1 < tables.length ? { index: index + 1, batch: Buffer.alloc(0) } : undefined;
}

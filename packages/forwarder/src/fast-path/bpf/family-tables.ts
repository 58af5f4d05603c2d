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
  /**
   * It was found empty, and nothing was installed since. The kernel walks every bucket of an empty map as well:
   * milliseconds for the largest, each second.
   */
  isEmpty: boolean;
  installCount: number;
  /** Programs put entries into it, too: only looking says whether there are any. */
  isShared: boolean;
}

interface Cursor {
  readonly index: number;
  /** The kernel's: which bucket is next; empty: the first. */
  readonly batch: Buffer;
  /** Entries that were found in this table, and installs when it was begun. */
  readonly found: number;
  readonly installCount: number;
}

export function familyTable<Layout extends Sizes>(layout: Layout, fd: number): FamilyTable<Layout> {
  return {
    layout,
    fd,
    key: Buffer.alloc(layout.keySize),
    value: Buffer.alloc(layout.valueSize),
    keys: Buffer.alloc(layout.keySize * SWEEP_COUNT_MAX),
    values: Buffer.alloc(layout.valueSize * SWEEP_COUNT_MAX),
    isEmpty: false,
    installCount: 0,
    isShared: false,
  };
}

/** Something was installed. */
export function noteInstalled(table: FamilyTable<Sizes>): void {
  table.isEmpty = false;
  table.installCount += 1;
}

/** A batch of the tables, one behind the other; the cursor to go on with, undefined at the end. */
export function visitBatch<Layout extends Sizes>(
  tables: readonly FamilyTable<Layout>[],
  cursor: unknown,
  each: (table: FamilyTable<Layout>, keyAt: number, valueAt: number) => void,
): unknown {
  const { index, batch, ...begun } = (cursor as Cursor | undefined) ?? firstOf(tables, 0);
  const table = tables[index];
  if (table === undefined) return undefined;
  const { layout, fd, keys, values } = table;
  const isFirst = batch.length === 0;
  if (isFirst && table.isEmpty && !table.isShared) return nextOf(tables, index);
  const next = Buffer.alloc(layout.keySize);
  const count = Buffer.alloc(4);
  count.writeUInt32LE(SWEEP_COUNT_MAX);
  const result = libbpf().lookupBatch(fd, isFirst ? null : batch, next, keys, values, count, null);
  const ended = result !== 0;
  if (ended && -result !== ERRNO["ENOENT"]) throw new Error(`reading flows failed with ${errnoName(result)}`);
  const batchCount = count.readUInt32LE(0);
  const found = begun.found + batchCount;
  table.isEmpty = ended && found === 0 && begun.installCount === table.installCount;
  for (let i = 0; i < batchCount; i++) each(table, i * layout.keySize, i * layout.valueSize);
  return ended ? nextOf(tables, index) : { index, batch: next, found, installCount: begun.installCount };
}

function firstOf(tables: readonly FamilyTable<Sizes>[], index: number): Cursor {
  return { index, batch: Buffer.alloc(0), found: 0, installCount: tables[index]?.installCount ?? 0 };
}

function nextOf(tables: readonly FamilyTable<Sizes>[], index: number): Cursor | undefined {
  return index + 1 < tables.length ? firstOf(tables, index + 1) : undefined;
}

// Reads a store's directory: at start, and for `holdfast journal`, which must not change it.
import { readdir, readFile, rm, stat, truncate } from "node:fs/promises";
import { join } from "node:path";
import type { StoredSegment, StoredState } from "../ports.ts";
import {
  JOURNAL_FILE_BYTES_MAX,
  parseJournal,
  parseJournalName,
  parseValue,
  parseValueName,
  VALUE_BYTES_MAX,
} from "./records.ts";

export const JOURNAL_DIRECTORY = "journals";
export const VALUE_DIRECTORY = "values";

/**
 * Everything that can be read. With `repair`, torn tails are cut off and unreadable files removed, so that what is
 * appended later is found again. Damage never throws; a directory that cannot be listed does.
 */
export async function readStore(directory: string, repair: boolean): Promise<StoredState> {
  const damaged: string[] = [];
  const segments: StoredSegment[] = [];
  const values = new Map<string, Uint8Array>();

  for (const name of (await readdir(join(directory, JOURNAL_DIRECTORY))).sort()) {
    const identity = parseJournalName(name);
    if (identity === undefined) continue;
    const path = join(directory, JOURNAL_DIRECTORY, name);
    const bytes = await readBounded(path, JOURNAL_FILE_BYTES_MAX);
    if (typeof bytes === "string") {
      damaged.push(`${JOURNAL_DIRECTORY}/${name}: ${bytes}; all of it was left out`);
      if (repair) await rm(path, { force: true }).catch(() => {});
      continue;
    }
    const file = parseJournal(bytes);
    if (file.damage !== undefined) {
      damaged.push(`${JOURNAL_DIRECTORY}/${name}: ${file.damage}`);
      if (repair)
        await (file.changes.length === 0 ? rm(path, { force: true }) : truncate(path, file.goodBytes)).catch(
          () => {},
        );
    }
    if (file.changes.length > 0 || file.sealed)
      segments.push({ ...identity, sealed: file.sealed, changes: file.changes });
  }

  for (const name of (await readdir(join(directory, VALUE_DIRECTORY))).sort()) {
    const path = join(directory, VALUE_DIRECTORY, name);
    if (name.endsWith(".new")) {
      if (repair) await rm(path, { force: true }).catch(() => {});
      continue;
    }
    const valueName = parseValueName(name);
    if (valueName === undefined) continue;
    const bytes = await readBounded(path, VALUE_BYTES_MAX + 8);
    const value = typeof bytes === "string" ? undefined : parseValue(bytes);
    if (value !== undefined) values.set(valueName, value);
    else
      damaged.push(
        `${VALUE_DIRECTORY}/${name}: ${typeof bytes === "string" ? bytes : "corrupt"}; it was left out`,
      );
  }
  segments.sort((a, b) => (a.actor < b.actor ? -1 : a.actor > b.actor ? 1 : a.segment - b.segment));
  return { segments, values, damaged };
}

/** The bytes, or in words why not. */
async function readBounded(path: string, bytesMax: number): Promise<Buffer | string> {
  try {
    const { size } = await stat(path);
    if (size > bytesMax) return `${size} bytes are too many`;
    return await readFile(path);
  } catch (error) {
    return error instanceof Error && "code" in error
      ? `cannot be read (${String(error.code)})`
      : "cannot be read";
  }
}

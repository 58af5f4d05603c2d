// Automerge's documents, as the configuration uses them.
import * as Automerge from "@automerge/automerge";
import type { CheckedChange } from "./change.ts";
import { compareEntries, decodeEntry, type Entry } from "./entries.ts";

export type Handle = ReturnType<typeof Automerge.getBackend>;

export function create(actor: string): Handle {
  return Automerge.getBackend(Automerge.init({ actor }));
}

/** The handle with the changes applied; undefined, and the handle freed, when they do not apply. */
export function apply(handle: Handle, changes: readonly CheckedChange[]): Handle | undefined {
  try {
    handle.applyChanges(changes.map(({ bytes }) => bytes as Automerge.Change));
    if (handle.getMissingDeps().length === 0) return handle;
  } catch {
    // Freed below.
  }
  handle.free();
  return undefined;
}

/** Every key's entry, from all values that concurrent edits left there. */
export function resolve(
  handle: Handle,
  keys: readonly string[] = handle.keys("_root"),
  read: (key: string, text: unknown) => Entry | undefined = decodeEntry,
): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const key of keys) {
    for (const [, text] of handle.getAll("_root", key)) {
      const entry = read(key, text);
      const best = entries.get(key);
      if (entry !== undefined && (best === undefined || compareEntries(entry, best) > 0))
        entries.set(key, entry);
    }
  }
  return entries;
}

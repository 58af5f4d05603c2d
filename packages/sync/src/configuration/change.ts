// Changes of the configuration document from elsewhere: checked as bytes and as operations before a document
// sees them.
import { createHash } from "node:crypto";
import * as Automerge from "@automerge/automerge";
import { CONFIGURATION_CHANGE_BYTES_MAX } from "../ports/limits.ts";
import { decodeEntry, ENTRY_COUNT_MAX, isUnderstood } from "./entries.ts";

/** A new epoch begins with all entries. */
const OPERATION_COUNT_MAX = 2 * ENTRY_COUNT_MAX;
const MAGIC = [0x85, 0x6f, 0x4a, 0x83] as const;
const TYPE_OFFSET = 8;
const CHUNK_TYPE_CHANGE = 1;

export interface CheckedChange {
  readonly bytes: Uint8Array;
  readonly hash: string;
  readonly dependencies: readonly string[];
  readonly message: string | undefined;
  /** That it writes. */
  readonly keys: readonly string[];
  /** Keys that are not understood here, with the bytes of key and text. */
  readonly carried: ReadonlyMap<string, number>;
}

/** The change, or why it is refused. Never throws. */
export function checkChange(bytes: Uint8Array): CheckedChange | string {
  if (bytes.length > CONFIGURATION_CHANGE_BYTES_MAX) return "too-long";
  if (bytes.length < TYPE_OFFSET + 2 || MAGIC.some((byte, i) => bytes[i] !== byte)) return "not-a-change";
  // Members write plain chunks only: a small one cannot unfold into a large one.
  if (bytes[TYPE_OFFSET] !== CHUNK_TYPE_CHANGE) return "compressed";
  const digest = createHash("sha256").update(bytes.subarray(TYPE_OFFSET)).digest();
  for (let i = 0; i < 4; i++) if (bytes[4 + i] !== digest[i]) return "wrong-hash";
  let decoded: Automerge.DecodedChange;
  try {
    decoded = Automerge.decodeChange(bytes as Automerge.Change);
  } catch {
    return "undecodable";
  }
  const hash = digest.toString("hex");
  if (decoded.hash !== hash) return "wrong-hash";
  if (decoded.ops.length > OPERATION_COUNT_MAX) return "too-many-operations";
  const keys: string[] = [];
  const carried = new Map<string, number>();
  for (const op of decoded.ops as readonly {
    action: string;
    obj: string;
    key?: unknown;
    value?: unknown;
  }[]) {
    if (op.action !== "set" || op.obj !== "_root" || typeof op.key !== "string") return "wrong-operation";
    const entry = decodeEntry(op.key, op.value);
    if (entry === undefined) return "wrong-value";
    keys.push(op.key);
    if (!isUnderstood(op.key, entry)) carried.set(op.key, op.key.length + String(op.value).length);
  }
  return { bytes, hash, dependencies: decoded.deps, message: decoded.message ?? undefined, keys, carried };
}

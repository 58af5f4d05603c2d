// The files of the store.
//
//   journals/ACTOR-SEGMENT.journal   magic "HFJ1", then records:
//     0      4      8     9
//     | length | crc | kind | bytes …        length counts kind and bytes; crc32 covers them; big-endian
//   values/NAME.value                magic "HFV1", crc32 of the rest, the rest
//
// A record that is torn or does not match its crc ends its file: what stands before it is kept. Every file
// stands alone, so that damage costs one file.
import { crc32 } from "node:zlib";
import { CHANGE_BYTES_MAX } from "../ports/limits.ts";

export const JOURNAL_MAGIC = Buffer.from("HFJ1");
const VALUE_MAGIC = Buffer.from("HFV1");
const RECORD_HEADER_BYTES = 8;
const KIND = { change: 1, sealed: 2 } as const;
/**
 * A value larger than this is refused by `put`: values are small by contract, the configuration the largest.
 */
export const VALUE_BYTES_MAX = 16 * 1024 * 1024;
/** A journal file beyond this is not one of ours: a segment ends at 256 ticks. */
export const JOURNAL_FILE_BYTES_MAX = 512 * 1024 * 1024;

export function changeRecord(change: Uint8Array): Buffer {
  return record(KIND.change, change);
}

export function sealedRecord(): Buffer {
  return record(KIND.sealed, new Uint8Array(0));
}

function record(kind: number, bytes: Uint8Array): Buffer {
  const whole = Buffer.allocUnsafe(RECORD_HEADER_BYTES + 1 + bytes.length);
  whole.writeUInt32BE(bytes.length + 1, 0);
  whole[RECORD_HEADER_BYTES] = kind;
  whole.set(bytes, RECORD_HEADER_BYTES + 1);
  whole.writeUInt32BE(crc32(whole.subarray(RECORD_HEADER_BYTES)), 4);
  return whole;
}

export interface JournalFile {
  readonly changes: readonly Uint8Array[];
  readonly sealed: boolean;
  /** Bytes up to the end of the last good record. */
  readonly goodBytes: number;
  /** What was wrong behind them, in words; undefined when nothing. */
  readonly damage: string | undefined;
}

/** Total: whatever the bytes, the good part and what was wrong with the rest. */
export function parseJournal(bytes: Buffer): JournalFile {
  const changes: Uint8Array[] = [];
  let sealed = false;
  if (!bytes.subarray(0, 4).equals(JOURNAL_MAGIC))
    return { changes, sealed, goodBytes: 0, damage: "it does not begin like a journal" };
  let offset = JOURNAL_MAGIC.length;
  let damage: string | undefined;
  while (offset < bytes.length) {
    damage = damageAt(bytes, offset);
    if (damage !== undefined) {
      damage = `${damage} at byte ${offset}; ${changes.length} ticks before it were kept`;
      break;
    }
    const end = offset + RECORD_HEADER_BYTES + bytes.readUInt32BE(offset);
    const kind = bytes[offset + RECORD_HEADER_BYTES];
    if (kind === KIND.sealed) sealed = true;
    else if (kind === KIND.change && !sealed)
      changes.push(new Uint8Array(bytes.subarray(offset + RECORD_HEADER_BYTES + 1, end)));
    // Other kinds belong to later versions; a change after the seal is nobody's.
    offset = end;
  }
  return { changes, sealed, goodBytes: Math.min(offset, bytes.length), damage };
}

function damageAt(bytes: Buffer, offset: number): string | undefined {
  const left = bytes.length - offset - RECORD_HEADER_BYTES;
  if (left < 1) return "a torn record";
  const length = bytes.readUInt32BE(offset);
  if (length < 1 || length > CHANGE_BYTES_MAX + 1) return "a corrupt record";
  if (length > left) return "a torn record";
  const body = bytes.subarray(offset + RECORD_HEADER_BYTES, offset + RECORD_HEADER_BYTES + length);
  return crc32(body) === bytes.readUInt32BE(offset + 4) ? undefined : "a corrupt record";
}

export function valueFile(value: Uint8Array): Buffer {
  const whole = Buffer.allocUnsafe(8 + value.length);
  VALUE_MAGIC.copy(whole);
  whole.writeUInt32BE(crc32(value), 4);
  whole.set(value, 8);
  return whole;
}

/** undefined: not a value, or corrupt. */
export function parseValue(bytes: Buffer): Uint8Array | undefined {
  if (bytes.length < 8 || !bytes.subarray(0, 4).equals(VALUE_MAGIC)) return undefined;
  const value = bytes.subarray(8);
  return crc32(value) === bytes.readUInt32BE(4) ? new Uint8Array(value) : undefined;
}

const JOURNAL_NAME = /^([0-9a-f]{32})-(\d{1,10})\.journal$/;

export function journalName(actor: string, segment: number): string {
  return `${actor}-${segment}.journal`;
}

export function parseJournalName(
  name: string,
): { readonly actor: string; readonly segment: number } | undefined {
  const match = JOURNAL_NAME.exec(name);
  return match === null ? undefined : { actor: match[1] ?? "", segment: Number(match[2]) };
}

const VALUE_NAME = /^[\w-]{1,64}$/;

/** Throws on a name that is no plain word: our bug. */
export function valueName(name: string): string {
  if (!VALUE_NAME.test(name)) throw new RangeError(`not a value's name: ${name}`);
  return `${name}.value`;
}

export function parseValueName(file: string): string | undefined {
  const name = file.endsWith(".value") ? file.slice(0, -6) : "";
  return VALUE_NAME.test(name) ? name : undefined;
}

// Fields that a later version added at the end of a message: number, length, bytes, by ascending number, each
// once. A reader takes those that it knows and passes over the others; one that is not framed like this makes
// the message malformed.
import type { MessageReader, MessageWriter } from "./bytes.ts";

/** Fields behind the known ones of one message. */
export const FIELD_COUNT_MAX = 64;
/** Bytes of one of them. */
export const FIELD_BYTES_MAX = 64 * 1024;

export type Fields = ReadonlyMap<number, Uint8Array>;

export function writeFields(writer: MessageWriter, fields: Fields): void {
  for (const [number, bytes] of [...fields].sort(([a], [b]) => a - b)) writer.varint(number).sized(bytes);
}

const NO_FIELDS: Fields = new Map();

/** All that is left of the message; a failure is noted in the reader. */
export function readFields(reader: MessageReader): Fields {
  if (reader.finished) return NO_FIELDS;
  const fields = new Map<number, Uint8Array>();
  let last = 0;
  while (reader.failure === undefined && !reader.finished) {
    const number = reader.varint();
    if (number <= last || fields.size === FIELD_COUNT_MAX) {
      reader.fail("fields-malformed");
      break;
    }
    last = number;
    fields.set(number, reader.sized(FIELD_BYTES_MAX));
  }
  return fields;
}

// A place in the log of all members: of each, how far one has read. As text it is the id of an event, good at
// any member.

/**
 * Where one member's part of the log is: `run` names the daemon's start, `sequence` counts from 1 in each.
 */
export interface Place {
  readonly run: number;
  readonly sequence: number;
}

/** Members of a cursor that are read; a cluster has fewer. */
const PLACE_COUNT_MAX = 64;

/** By member number. */
export type Cursor = ReadonlyMap<number, Place>;

export function isAfter(a: Place, b: Place | undefined): boolean {
  return b === undefined || a.run > b.run || (a.run === b.run && a.sequence > b.sequence);
}

/** `0.m8x2k1.17-2.m8x2k4.3`; "0" for the beginning. */
export function cursorText(cursor: Cursor): string {
  const parts = [...cursor].map(
    ([origin, { run, sequence }]) => `${origin}.${run.toString(36)}.${sequence.toString(36)}`,
  );
  return parts.length === 0 ? "0" : parts.join("-");
}

/** undefined when it is no cursor. */
export function parseCursor(text: string): Cursor | undefined {
  const cursor = new Map<number, Place>();
  if (text === "0") return cursor;
  const parts = text.split("-");
  if (parts.length > PLACE_COUNT_MAX) return undefined;
  for (const part of parts) {
    const match = /^(\d{1,3})\.([0-9a-z]{1,10})\.([0-9a-z]{1,10})$/.exec(part);
    if (match === null) return undefined;
    const [, origin = "", run = "", sequence = ""] = match;
    cursor.set(Number(origin), { run: Number.parseInt(run, 36), sequence: Number.parseInt(sequence, 36) });
  }
  return cursor;
}

// The sessions' ids in order, kept as the table changes, so that a page of 100,000 sessions costs what the
// page costs and a cursor is simply the last id. Ids are uuids, whose first digits are uniform: 4,096 buckets
// of about 25.
import type { SessionId } from "@holdfast/model";

const BUCKET_DIGITS = 3;
const BUCKET_COUNT = 16 ** BUCKET_DIGITS;

function bucketOf(id: SessionId): number {
  const value = Number.parseInt(id.slice(0, BUCKET_DIGITS), 16);
  return Number.isNaN(value) ? BUCKET_COUNT - 1 : value;
}

export class SessionOrder {
  readonly #buckets: (Set<SessionId> | undefined)[] = new Array(BUCKET_COUNT).fill(undefined);

  add(id: SessionId): void {
    const index = bucketOf(id);
    const bucket = this.#buckets[index];
    if (bucket === undefined) this.#buckets[index] = new Set([id]);
    else bucket.add(id);
  }

  remove(id: SessionId): void {
    const index = bucketOf(id);
    const bucket = this.#buckets[index];
    if (bucket?.delete(id) === true && bucket.size === 0) this.#buckets[index] = undefined;
  }

  /** Ids greater than `cursor` in ascending order; ids added or removed meanwhile may or may not appear. */
  *after(cursor: SessionId | undefined): Generator<SessionId> {
    for (let index = cursor === undefined ? 0 : bucketOf(cursor); index < BUCKET_COUNT; index++) {
      const bucket = this.#buckets[index];
      if (bucket === undefined) continue;
      for (const id of [...bucket].sort()) if (cursor === undefined || id > cursor) yield id;
    }
  }
}

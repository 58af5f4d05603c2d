// When sessions ended, as this member saw it: a tombstone is kept for a while from then on. A hundred
// thousand of them are nothing unusual, so they are arrays.
import { type SessionId, sessionIdToBytes } from "@holdfast/model";
import { IdIndex } from "./id-index.ts";

/** Width of the buckets by which the oldest is found. */
const BUCKET_MS = 1_000;
const idBytes = new Uint8Array(16);

export class EndedTimes {
  readonly #ids = new IdIndex();
  #atMs = new Float64Array(1024);
  /** How many ended in each second, the oldest first. */
  readonly #buckets = new Map<number, number>();

  get size(): number {
    return this.#ids.size;
  }

  /** Notes an end at a time not before any that was noted; the first note of a session stays. */
  note(id: SessionId, nowMs: number): void {
    const known = this.#ids.size;
    const number = this.#ids.numberOf(sessionIdToBytes(id, idBytes));
    if (this.#ids.size === known) return;
    if (number >= this.#atMs.length) {
      const wider = new Float64Array(this.#atMs.length * 2);
      wider.set(this.#atMs);
      this.#atMs = wider;
    }
    this.#atMs[number] = nowMs;
    const bucket = bucketOf(nowMs);
    this.#buckets.set(bucket, (this.#buckets.get(bucket) ?? 0) + 1);
  }

  of(id: SessionId): number | undefined {
    const number = this.#ids.find(sessionIdToBytes(id, idBytes));
    return number === undefined ? undefined : this.#atMs[number];
  }

  delete(id: SessionId): void {
    if (this.#ids.size === 0) return;
    const number = this.#ids.find(sessionIdToBytes(id, idBytes));
    if (number === undefined) return;
    const bucket = bucketOf(this.#atMs[number] as number);
    const left = (this.#buckets.get(bucket) ?? 0) - 1;
    if (left > 0) this.#buckets.set(bucket, left);
    else this.#buckets.delete(bucket);
    this.#ids.release(number);
  }

  /** When the oldest ended, to a second; undefined when there is none. */
  oldestMs(): number | undefined {
    for (const bucket of this.#buckets.keys()) return bucket * BUCKET_MS;
    return undefined;
  }
}

function bucketOf(ms: number): number {
  return Math.floor(ms / BUCKET_MS);
}

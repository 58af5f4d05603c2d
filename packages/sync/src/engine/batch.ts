// Deltas as bytes across the link: each with a varint length before it.
import { ByteReader, ByteWriter } from "@holdfast/model";
import type { DeltaBatch, IdList } from "../ports/link.ts";

export class BatchWriter {
  readonly #out = new ByteWriter();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(bytes: Uint8Array): void {
    this.#out.varint(bytes.length);
    this.#out.bytes(bytes);
    this.#count++;
  }

  take(): DeltaBatch {
    const batch = { count: this.#count, bytes: this.#out.copy() };
    this.#out.clear();
    this.#count = 0;
    return batch;
  }
}

/** The deltas of a batch, as views on its bytes. */
export function* readBatch(batch: DeltaBatch): Generator<Uint8Array> {
  const input = new ByteReader(batch.bytes);
  while (input.left > 0) {
    const bytes = input.take(input.varint());
    if (input.failed) return;
    yield bytes;
  }
}

export function* readIds(ids: IdList): Generator<Uint8Array> {
  for (let at = 0; at + 16 <= ids.length; at += 16) yield ids.subarray(at, at + 16);
}

// Addresses that packets with the right tag came from lately: what tells an association's fragments, which
// show nothing but addresses, from a stranger's.
import { TokenBucket } from "../../counters/token-bucket.ts";

/** One more takes the place of the one heard longest ago. */
const SOURCE_COUNT_MAX = 65_536;
/** Longer than any stack's HEARTBEAT waits. */
const KNOWN_MS = 131_000;
/** Fragments a second of one source, in bursts of a fifth of that. */
const FRAGMENTS_PER_SECOND = 5_000;
const FRAGMENT_BURST = 1_000;

interface Source {
  seenMs: number;
  readonly fragments: TokenBucket;
}

export class Sources {
  /** In the order in which they were last heard. */
  readonly #sources = new Map<string, Source>();

  heard(bytes: Uint8Array, offset: number, size: number, nowMs: number): void {
    const key = keyOf(bytes, offset, size);
    const known = this.#sources.get(key);
    this.#sources.delete(key);
    const fragments = known?.fragments ?? new TokenBucket(FRAGMENTS_PER_SECOND, FRAGMENT_BURST);
    this.#sources.set(key, { seenMs: nowMs, fragments });
    if (this.#sources.size <= SOURCE_COUNT_MAX) return;
    const [oldest] = this.#sources.keys();
    this.#sources.delete(oldest as string);
  }

  /** undefined: nobody's. Else whether it may send one more fragment now. */
  mayFragment(bytes: Uint8Array, offset: number, size: number, nowMs: number): boolean | undefined {
    const source = this.#sources.get(keyOf(bytes, offset, size));
    if (source === undefined || nowMs - source.seenMs > KNOWN_MS) return undefined;
    return source.fragments.take(nowMs);
  }
}

function keyOf(bytes: Uint8Array, offset: number, size: number): string {
  return String.fromCharCode(...bytes.subarray(offset, offset + size));
}

// Where INITs came from that this member only passed on: another member's table entry stood for them. Their
// INIT-ACKs go back there (RFC 9260 §6.4), not to where the client's first INIT came from, which may be of
// another family, or cut off.
import type { Address } from "@holdfast/model";

/** The oldest gives way; then its INIT-ACK goes to the source of the first INIT. */
const SOURCE_COUNT_MAX = 4_096;

export interface PassedInit {
  readonly clientTag: number;
  readonly natPort: number;
  /** That it was sent to, and that the endpoint answers. */
  readonly vip: Address;
}

export class InitSources {
  readonly #sources = new Map<string, Address>();

  passed(init: PassedInit, source: Address): void {
    const key = keyOf(init);
    this.#sources.delete(key);
    this.#sources.set(key, source);
    if (this.#sources.size <= SOURCE_COUNT_MAX) return;
    const [oldest] = this.#sources.keys();
    if (oldest !== undefined) this.#sources.delete(oldest);
  }

  of(init: PassedInit): Address | undefined {
    return this.#sources.get(keyOf(init));
  }
}

function keyOf({ clientTag, natPort, vip }: PassedInit): string {
  return `${clientTag}|${natPort}|${vip}`;
}

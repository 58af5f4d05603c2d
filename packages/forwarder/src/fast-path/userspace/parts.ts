// Super-packets of TCP and UDP are taken apart before anything looks at them: raw sockets, the way out, take
// no size of segments, and whoever decides about a packet (its size, its numbers, its end) sees what would
// have been on a wire.
import type { IpHeader } from "@holdfast/sctp";
import { type Mapping, mapMemory } from "../../kernel/memory.ts";
import { partsOf } from "../../packet/plain/super-packet.ts";

const SPACE_SIZE = 1 << 18;

/** Memory for parts until they are sent. */
export class Parts {
  readonly #space: Mapping = mapMemory(SPACE_SIZE);
  readonly #flush: () => void;
  #used = 0;

  /** `flush` sends whatever waits, so that its memory is free. */
  constructor(flush: () => void) {
    this.#flush = flush;
  }

  /** Tells of each part, checksums partial, and where it lies; returns how many there are. */
  each(
    packet: Uint8Array,
    ip: IpHeader,
    segmentSize: number,
    tell: (part: Uint8Array, address: bigint) => void,
  ): number {
    const parts = partsOf(packet, ip, segmentSize);
    for (const part of parts) {
      if (this.#used + part.length > SPACE_SIZE) {
        this.#flush();
        this.#used = 0;
      }
      const at = this.#used;
      this.#used += part.length;
      const place = this.#space.bytes.subarray(at, at + part.length);
      place.set(part);
      tell(place, this.#space.address + BigInt(at));
    }
    return parts.length;
  }

  /** Nothing may be told afterwards. */
  close(): void {
    this.#space.unmap();
  }
}

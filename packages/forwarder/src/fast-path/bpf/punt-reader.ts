// From the rings to the slow path: the proven punts first, at most a turn's worth, then the event loop has its say.
import koffi from "koffi";
import type { Punt, PuntReason } from "../port.ts";
import { PUNT, PUNT_FLAG, PUNT_REASON } from "./abi.ts";
import { puntName } from "./names.ts";
import { Ring } from "./ring.ts";

/** Records a turn of the event loop. */
export const TURN_COUNT_MAX = 512;
/** Of these, what the ring that floods reach may have when the other has more than a turn's worth. */
const UNPROVEN_COUNT_LEAST = 64;

const REASONS = new Map<number, PuntReason>(
  Object.entries(PUNT_REASON)
    .filter(([name]) => name !== "REASON_COUNT")
    .map(([name, number]) => [number, puntName(name) as PuntReason]),
);

export class PuntReader {
  readonly #proven: Ring;
  readonly #unproven: Ring;
  readonly #deliver: (punt: Punt) => void;
  #handles: ReturnType<typeof koffi.node.poll>[] = [];
  #closed = false;

  constructor(
    rings: { readonly proven: number; readonly unproven: number },
    size: number,
    deliver: (punt: Punt) => void,
  ) {
    this.#proven = new Ring(rings.proven, size);
    this.#unproven = new Ring(rings.unproven, size);
    this.#deliver = deliver;
  }

  start(): void {
    // libuv waits for the rings' file descriptors itself: no thread is blocked, and nothing delays the exit.
    for (const ring of [this.#proven, this.#unproven]) {
      const handle = koffi.node.poll(ring.fd, { readable: true }, () => this.#turn());
      handle.unref();
      this.#handles.push(handle);
    }
  }

  close(): void {
    this.#closed = true;
    for (const handle of this.#handles) handle.close();
    this.#handles = [];
    this.#proven.close();
    this.#unproven.close();
  }

  #turn(): void {
    if (this.#closed) return;
    const proven = readPunts(this.#proven, TURN_COUNT_MAX - UNPROVEN_COUNT_LEAST, this.#deliver);
    if (!this.#closed) readPunts(this.#unproven, TURN_COUNT_MAX - proven, this.#deliver);
  }
}

/** Reads at most `countMax` records of a ring that is waiting; returns how many there were. */
export function readPunts(ring: Ring, countMax: number, deliver: (punt: Punt) => void): number {
  return ring.drain(countMax, (bytes, start, end) => {
    const reason = REASONS.get(bytes.readUInt16LE(start + PUNT.reason));
    if (reason === undefined) return;
    const at = start + PUNT.SIZE;
    const flags = bytes.readUInt16LE(start + PUNT.flags);
    const length = Math.min(bytes.readUInt32LE(start + PUNT.length), end - at);
    const mtu = bytes.readUInt32LE(start + PUNT.mtu);
    const segmentSize = bytes.readUInt32LE(start + PUNT.segmentSize);
    deliver({
      reason,
      ...(mtu === 0 ? {} : { mtu }),
      ...(segmentSize === 0 ? {} : { segmentSize }),
      // A copy: the ring is read-only, and a write to it would end the process.
      packet: Uint8Array.prototype.slice.call(bytes, at, at + length),
      interfaceIndex: bytes.readUInt32LE(start + PUNT.interfaceIndex),
      timeMs: Number(bytes.readBigUInt64LE(start + PUNT.timeNs)) / 1e6,
      session: bytes.readUInt32LE(start + PUNT.session),
      checksumPartial: (flags & PUNT_FLAG.CHECKSUM_PARTIAL) !== 0,
      copy: (flags & PUNT_FLAG.COPY) !== 0,
      ...((flags & PUNT_FLAG.PROVEN) !== 0 && { proven: true }),
      ...((flags & PUNT_FLAG.AGAIN) !== 0 && { again: true }),
    });
  });
}

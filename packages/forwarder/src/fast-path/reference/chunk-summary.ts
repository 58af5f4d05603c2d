// One walk over a packet's chunks: everything that the fast path's decision needs of them.
import { CHUNK, CHUNKS, type MalformedReason, TlvWalker } from "@holdfast/sctp";
import type { PuntReason } from "../port.ts";

// A chunk type's part in the decision, as bits that are OR-ed over the packet.
const INIT = 1;
const INIT_ACK = 2;
const ASCONF = 4;
const CONTROL = 8;
const HANDSHAKE = 16;
/** Probes or carries a path: goes to the address paired with the VIP, not to the one last heard. */
const PATH = 32;
const NOT_HEARTBEAT = 64;

const PARTS = new Uint8Array(256).fill(NOT_HEARTBEAT);
const part = (type: number, bits: number) => {
  PARTS[type] = bits;
};
part(CHUNK.INIT, INIT | NOT_HEARTBEAT);
part(CHUNK.INIT_ACK, INIT_ACK | NOT_HEARTBEAT);
part(CHUNK.ASCONF, ASCONF | NOT_HEARTBEAT);
part(CHUNK.ASCONF_ACK, ASCONF | NOT_HEARTBEAT);
for (const type of [CHUNK.ABORT, CHUNK.SHUTDOWN, CHUNK.SHUTDOWN_ACK, CHUNK.SHUTDOWN_COMPLETE, CHUNK.ERROR]) {
  part(type, CONTROL | NOT_HEARTBEAT);
}
part(CHUNK.COOKIE_ECHO, HANDSHAKE | NOT_HEARTBEAT);
part(CHUNK.COOKIE_ACK, HANDSHAKE | NOT_HEARTBEAT);
for (const type of [CHUNK.DATA, CHUNK.I_DATA, CHUNK.FORWARD_TSN, CHUNK.I_FORWARD_TSN, CHUNK.RE_CONFIG]) {
  part(type, PATH | NOT_HEARTBEAT);
}
part(CHUNK.HEARTBEAT, PATH);

/** Filled by `read`; one object serves many packets. */
export class ChunkSummary {
  #bits = 0;
  readonly #walker = new TlvWalker(CHUNKS);

  /** Walks the chunks in bytes[start, end); undefined when all is well. */
  read(bytes: Uint8Array, start: number, end: number): MalformedReason | undefined {
    const walker = this.#walker.reset(bytes, start, end);
    let bits = 0;
    while (walker.next()) bits |= PARTS[bytes[walker.offset] as number] as number;
    this.#bits = bits;
    return walker.refusal ?? (walker.count === 0 ? "no-chunk" : undefined);
  }

  /** The slow path's business, by the most telling chunk of the packet; undefined: none of it. */
  get punt(): PuntReason | undefined {
    const bits = this.#bits;
    if ((bits & (INIT | INIT_ACK | ASCONF | CONTROL | HANDSHAKE)) === 0) return undefined;
    if (bits & INIT) return "init";
    if (bits & INIT_ACK) return "initAck";
    if (bits & ASCONF) return "asconf";
    return bits & CONTROL ? "control" : "handshake";
  }

  get path(): boolean {
    return (this.#bits & PATH) !== 0;
  }

  /** Every chunk is a HEARTBEAT. */
  get heartbeatOnly(): boolean {
    return (this.#bits & NOT_HEARTBEAT) === 0;
  }
}

// Reassembly (RFC 791 §3.2, RFC 8200 §4.5), bounded in bytes, packets, fragments and time. A later fragment
// has no ports, and a changed port changes a checksum over the whole, so nothing less will do. Overlaps are
// never resolved: the packet is dropped (RFC 8200 §4.5; for IPv4 as well).
//
// At a bound the oldest gives way: the fragments of a genuine packet come within milliseconds of each other,
// those of a flood never become whole. Who sends more than its share displaces its own.
import {
  IPV4_FRAGMENT_OFFSET,
  IPV4_TOTAL_LENGTH_OFFSET,
  IPV6_HEADER_SIZE,
  IPV6_NEXT_HEADER_OFFSET,
  IPV6_PAYLOAD_LENGTH_OFFSET,
  type IpHeader,
  write16,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import type { SlowPathDropReason } from "../counters/drop-reasons.ts";
import type { ForwarderLimits } from "../limits.ts";

/** A first fragment must at least hold the SCTP common header and a chunk's; others at least one unit. */
const FIRST_FRAGMENT_SIZE_MIN = 16;
/** RFC 791: the header counts; RFC 8200: it does not. */
const IPV4_SIZE_MAX = 65_535;
const IPV4_PAYLOAD_SIZE_MAX = IPV4_SIZE_MAX - 20;
const IPV6_PAYLOAD_SIZE_MAX = 65_535;

type ReassemblyLimits = Pick<
  ForwarderLimits,
  | "fragmentBytesMax"
  | "fragmentPacketCountMax"
  | "fragmentPacketCountMaxPerPair"
  | "fragmentCountMaxPerPacket"
  | "fragmentTimeoutMs"
>;

interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

interface Partial {
  readonly key: string;
  /** Source and destination. */
  readonly pair: string;
  readonly startedMs: number;
  readonly pieces: Piece[];
  /** Header of the first fragment (offset 0); undefined until it is there. */
  header: Uint8Array | undefined;
  /** Payload length, known with the last fragment. */
  total: number | undefined;
  received: number;
  /** Largest fragment, IP header included: the packet leaves in pieces no larger. */
  fragmentSize: number;
}

export interface Reassembled {
  /** Whole IP packet without fragment header. */
  readonly packet: Uint8Array;
  readonly fragmentSize: number;
}

export class Reassembly {
  readonly #limits: ReassemblyLimits;
  /** In the order of their first fragment. */
  readonly #partials = new Map<string, Partial>();
  /** The same by source and destination, in the same order. */
  readonly #pairs = new Map<string, Set<Partial>>();
  #bytes = 0;
  #displaced = 0;

  constructor(limits: ReassemblyLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#partials.size;
  }

  /** How many incomplete packets have given way to others since the last call. */
  takeDisplaced(): number {
    const count = this.#displaced;
    this.#displaced = 0;
    return count;
  }

  /** undefined: more is to come. A drop reason: this fragment, and what belongs to it, is gone. */
  add(bytes: Uint8Array, ip: IpHeader, nowMs: number): Reassembled | undefined | SlowPathDropReason {
    const payload = bytes.subarray(ip.payloadOffset, ip.end);
    const offset = ip.fragmentOffset;
    if (payload.length === 0 || (ip.moreFragments && payload.length % 8 !== 0)) return "malformed";
    if (offset === 0 && payload.length < FIRST_FRAGMENT_SIZE_MIN) return "fragment-too-small";
    if (offset + payload.length > (ip.version === 4 ? IPV4_PAYLOAD_SIZE_MAX : IPV6_PAYLOAD_SIZE_MAX))
      return "malformed";
    const pair = pairOf(bytes, ip);
    const key = `${ip.identification}/${ip.version === 4 ? ip.protocol : 0}/${pair}`;
    const partial = this.#partials.get(key) ?? this.#begin(key, pair, nowMs);
    if (partial.pieces.length >= this.#limits.fragmentCountMaxPerPacket) {
      this.#forget(partial);
      return "fragment-limit";
    }
    while (this.#bytes + payload.length > this.#limits.fragmentBytesMax) {
      this.#displace(this.#partials.values());
      // It was the oldest itself.
      if (!this.#partials.has(key)) return "fragment-limit";
    }
    const end = offset + payload.length;
    const same = partial.pieces.find(
      (piece) => piece.offset === offset && piece.bytes.length === payload.length,
    );
    if (same?.bytes.every((byte, i) => byte === payload[i]) === true) return undefined;
    const overlaps = partial.pieces.some(
      (piece) => offset < piece.offset + piece.bytes.length && piece.offset < end,
    );
    const contradicts =
      (partial.total !== undefined &&
        (end > partial.total || (!ip.moreFragments && end !== partial.total))) ||
      (!ip.moreFragments && partial.pieces.some((piece) => piece.offset + piece.bytes.length > end));
    if (overlaps || contradicts) {
      this.#forget(partial);
      return "fragment-overlap";
    }
    if (offset === 0) partial.header = headerOf(bytes, ip);
    if (!ip.moreFragments) partial.total = end;
    partial.pieces.push({ offset, bytes: payload.slice() });
    partial.received += payload.length;
    partial.fragmentSize = Math.max(partial.fragmentSize, ip.end);
    this.#bytes += payload.length;
    if (partial.header === undefined || partial.received !== partial.total) return undefined;
    this.#forget(partial);
    // The first fragment may have options that the others have not.
    if (ip.version === 4 && partial.header.length + partial.total > IPV4_SIZE_MAX) return "malformed";
    return { packet: assemble(partial, partial.header, partial.total), fragmentSize: partial.fragmentSize };
  }

  /** Drops what has waited too long; returns how many packets. */
  expire(nowMs: number): number {
    let count = 0;
    for (const partial of this.#partials.values()) {
      if (nowMs - partial.startedMs < this.#limits.fragmentTimeoutMs) break;
      this.#forget(partial);
      count += 1;
    }
    return count;
  }

  #begin(key: string, pair: string, nowMs: number): Partial {
    const { fragmentPacketCountMax, fragmentPacketCountMaxPerPair } = this.#limits;
    const own = this.#pairs.get(pair);
    if (own !== undefined && own.size >= fragmentPacketCountMaxPerPair) this.#displace(own.values());
    else if (this.#partials.size >= fragmentPacketCountMax) this.#displace(this.#partials.values());
    const partial: Partial = {
      key,
      pair,
      startedMs: nowMs,
      pieces: [],
      header: undefined,
      total: undefined,
      received: 0,
      fragmentSize: 0,
    };
    this.#partials.set(key, partial);
    const ofPair = this.#pairs.get(pair);
    if (ofPair === undefined) this.#pairs.set(pair, new Set([partial]));
    else ofPair.add(partial);
    return partial;
  }

  /** The first of `partials`, the oldest, gives way. */
  #displace(partials: Iterator<Partial>): void {
    const { value } = partials.next();
    if (value === undefined) return;
    this.#forget(value);
    this.#displaced += 1;
  }

  #forget(partial: Partial): void {
    if (!this.#partials.delete(partial.key)) return;
    this.#bytes -= partial.received;
    const ofPair = this.#pairs.get(partial.pair);
    ofPair?.delete(partial);
    if (ofPair?.size === 0) this.#pairs.delete(partial.pair);
  }
}

function pairOf(bytes: Uint8Array, ip: IpHeader): string {
  let pair = "";
  for (let i = 0; i < 2 * ip.addressSize; i++)
    pair += String.fromCharCode(bytes[ip.sourceOffset + i] as number);
  return pair;
}

/** The header that the whole packet gets: as in the first fragment, without what makes it one. */
function headerOf(bytes: Uint8Array, ip: IpHeader): Uint8Array {
  if (ip.version === 4) {
    const header = bytes.slice(0, ip.payloadOffset);
    write16(header, IPV4_FRAGMENT_OFFSET, 0);
    return header;
  }
  // Extension headers are left out: none of them is for the destination of a translated packet.
  const header = bytes.slice(0, IPV6_HEADER_SIZE);
  header[IPV6_NEXT_HEADER_OFFSET] = ip.protocol;
  return header;
}

function assemble(partial: Partial, header: Uint8Array, total: number): Uint8Array {
  const packet = new Uint8Array(header.length + total);
  packet.set(header);
  for (const piece of partial.pieces) packet.set(piece.bytes, header.length + piece.offset);
  if ((header[0] as number) >>> 4 === 4) {
    write16(packet, IPV4_TOTAL_LENGTH_OFFSET, packet.length);
    writeIpv4Checksum(packet);
  } else write16(packet, IPV6_PAYLOAD_LENGTH_OFFSET, total);
  return packet;
}

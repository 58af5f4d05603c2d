// Damage: what a mutational fuzzer does to bytes, and the repair of checksums that lets damage be looked at.
import type { Random } from "@holdfast/model";
import { IpHeader, writeChecksum, writeIpv4Checksum } from "@holdfast/sctp";

/** No mutation makes more than an IP packet may hold. */
const SIZE_MAX = 4_096;
const EDIT_COUNT_MAX = 4;
const INTERESTING_BYTES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 0x0e, 0x7f, 0x80, 0x81, 0xc0, 0xc1, 0xff] as const;
const INTERESTING_WORDS = [0, 1, 3, 4, 5, 7, 8, 12, 16, 20, 0x8000, 0x8008, 0xc004, 0xfffc, 0xffff] as const;

/** A damaged copy; `other` is spliced in at times. */
export function mutate(random: Random, input: Uint8Array, other: Uint8Array): Uint8Array {
  let bytes = new Uint8Array(input);
  // What many edits break, one may only bend.
  const edits = random.below(2) === 0 ? 1 : 1 + random.below(EDIT_COUNT_MAX);
  for (let i = 0; i < edits; i++) bytes = edited(random, bytes, other);
  return bytes.length > SIZE_MAX ? bytes.slice(0, SIZE_MAX) : bytes;
}

function edited(random: Random, bytes: Uint8Array<ArrayBuffer>, other: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return new Uint8Array(random.bytes(1 + random.below(64)));
  // Headers decide more than payload does.
  const at = random.below(random.below(2) === 0 ? bytes.length : Math.min(bytes.length, 72));
  switch (random.below(9)) {
    case 0:
      bytes[at] = (bytes[at] as number) ^ (1 << random.below(8));
      return bytes;
    case 1:
      bytes[at] = INTERESTING_BYTES[random.below(INTERESTING_BYTES.length)] as number;
      return bytes;
    case 2:
      bytes[at] = random.below(256);
      return bytes;
    case 3: {
      const even = at & ~1;
      const word = INTERESTING_WORDS[random.below(INTERESTING_WORDS.length)] as number;
      if (even + 1 < bytes.length) bytes.set([word >>> 8, word & 255], even);
      return bytes;
    }
    case 4: {
      // Lengths that are off by a little are the ones that parsers get wrong.
      const even = at & ~1;
      if (even + 1 >= bytes.length) return bytes;
      const word = ((bytes[even] as number) << 8) | (bytes[even + 1] as number);
      const next = (word + random.below(9) - 4) & 0xffff;
      bytes.set([next >>> 8, next & 255], even);
      return bytes;
    }
    case 5:
      return bytes.slice(0, at);
    case 6:
      return joined(bytes.subarray(0, at), random.bytes(1 + random.below(24)), bytes.subarray(at));
    case 7: {
      const size = Math.min(bytes.length - at, 4 * (1 + random.below(16)));
      const part = bytes.slice(at, at + size);
      return joined(bytes.subarray(0, at), part, bytes.subarray(at));
    }
    default: {
      const from = random.below(other.length + 1) & ~3;
      return joined(bytes.subarray(0, at & ~3), other.subarray(from));
    }
  }
}

function joined(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

const header = new IpHeader();
const SCTP_HEADER_SIZE = 12;
const TLV_HEADER_SIZE = 4;
/** Of INIT and INIT-ACK, before their parameters. */
const INIT_FIXED_SIZE = 20;

/**
 * Lengths of chunks, and of an INIT's parameters, that reach beyond what holds them are cut to it: damage
 * that would be refused at the first length gets further.
 */
export function refit(bytes: Uint8Array): Uint8Array {
  if (header.read(bytes) !== undefined || header.fragment || header.protocol !== 132) return bytes;
  fitted(bytes, header.payloadOffset + SCTP_HEADER_SIZE, header.end, (start, end) => {
    const type = bytes[start];
    if (type === 1 || type === 2) fitted(bytes, start + INIT_FIXED_SIZE, end, () => {});
  });
  return bytes;
}

/** Walks things of type, flags or type, and length in bytes[from, to). */
function fitted(
  bytes: Uint8Array,
  from: number,
  to: number,
  visit: (start: number, end: number) => void,
): void {
  for (let at = from; at + TLV_HEADER_SIZE <= to; ) {
    let length = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
    if (length < TLV_HEADER_SIZE || at + length > to) {
      length = to - at;
      bytes.set([length >>> 8, length & 255], at + 2);
    }
    visit(at, at + length);
    at += (length + 3) & ~3;
  }
}

/** Repaired, most of the time in all that would have it refused at the door. */
export function repairSome(random: Random, bytes: Uint8Array): Uint8Array {
  const choice = random.below(8);
  if (choice === 0) return bytes;
  repair(bytes);
  return choice < 4 ? bytes : repair(refit(bytes));
}

/** IP length and checksums as a sender would have them, where there is room; else the bytes as they are. */
export function repair(bytes: Uint8Array): Uint8Array {
  const version = (bytes[0] ?? 0) >>> 4;
  if (version === 4 && bytes.length >= 20) bytes.set([bytes.length >>> 8, bytes.length & 255], 2);
  else if (version === 6 && bytes.length >= 40)
    bytes.set([(bytes.length - 40) >>> 8, (bytes.length - 40) & 255], 4);
  else return bytes;
  if (version === 4 && ((bytes[0] as number) & 15) * 4 <= bytes.length && ((bytes[0] as number) & 15) >= 5)
    writeIpv4Checksum(bytes);
  if (header.read(bytes) !== undefined || header.fragment || header.end - header.payloadOffset < 12)
    return bytes;
  if (header.protocol === 132) writeChecksum(bytes, header.payloadOffset, header.end);
  return bytes;
}

// Kinds of quick flows: what of a table's key and value stands in their lines.

import {
  FLOW_FLAG,
  FLOW_HEAD,
  FLOW4,
  FLOW4_KEY,
  FLOW6,
  FLOW6_KEY,
  LIMITS,
  PLAIN_FLAG,
  QUICK_KIND,
  QUICK_PLAIN,
  QUICK_PLAIN4,
  QUICK_PLAIN6,
  QUICK_PLAIN6_REST,
  QUICK_TCP,
  QUICK4,
  QUICK6,
  QUICK6_REST,
} from "./abi.ts";
import { PLAIN_LAYOUT4, PLAIN_LAYOUT6, type PlainLayout } from "./plain-codec.ts";
import { LINE_WORDS, type LineCount } from "./quick-store.ts";

/** Words of the longest key. */
export const KEY_WORDS_MAX = 9;
/** Flags of flows that packets change nothing of. */
const QUICK_FLAGS = FLOW_FLAG.REPLY | FLOW_FLAG.DOWN;

export interface QuickLayout {
  readonly kind: number;
  readonly lineCount: LineCount;
  /** A line begins with them, and they tell one flow from another. */
  readonly keyWordCount: number;
  readKey(key: Buffer, keyAt: number, into: Uint32Array): void;
  /** Of what readKey has read. */
  hash(seed: number, words: Uint32Array): number;
  /** Everything but the key and what is counted, of a table's value. */
  write(words: Uint32Array, at: number, value: Buffer, valueAt: number): void;
  /** Of a table's value: where the last packet's time stands. */
  readonly lastSeen: number;
  /** Whether a table's value is of a flow that may be quick. */
  isQuick(value: Buffer, valueAt: number): boolean;
  /** What packets of TCP showed; undefined: they have not, or the table of all flows knows better. */
  edges?(words: Uint32Array, at: number): QuickEdges | undefined;
  /** Whether packets go the usual way until the flow is put again. */
  isStopped?(words: Uint32Array, at: number): boolean;
}

/** As in hf_plain_head. */
export interface QuickEdges {
  readonly sequence: number;
  readonly acknowledged: number;
  readonly strange: number;
}

/** As quick_hash in program/quick.h; words as a little-endian host loads them. */
export function hashOf(seed: number, source: number, destination: number, ports: number): number {
  let hash = Math.imul(source ^ seed, 0x9e3779b1);
  hash ^= Math.imul(destination, 0x85ebca6b) ^ Math.imul(ports ^ seed, 0xc2b2ae35);
  hash = Math.imul((hash >>> 15) ^ hash, 0x2c1b3c6d);
  return ((hash >>> 13) ^ hash) >>> 0;
}

/** As quick_digest in program/quick.h: of the four words of an IPv6 address. */
function digestOf(seed: number, words: Uint32Array, at: number): number {
  const word = (index: number) => words[at + index] as number;
  return (
    Math.imul(word(0) ^ seed, 0x9e3779b1) ^
    Math.imul(word(1), 0x85ebca6b) ^
    Math.imul(word(2), 0xc2b2ae35) ^
    Math.imul(word(3) ^ seed, 0x2c1b3c6d)
  );
}

/** What a slot has beside a line's number. */
export function tagOf(hash: number, kind: number): number {
  return (hash >>> (32 - LIMITS.QUICK_HASH_BITS)) | (kind << LIMITS.QUICK_HASH_BITS);
}

function flowIsQuick(value: Buffer, valueAt: number): boolean {
  return (value.readUInt16LE(valueAt + FLOW_HEAD.flags) & ~QUICK_FLAGS) === 0;
}

function hasReply(value: Buffer, valueAt: number): boolean {
  return (value.readUInt16LE(valueAt + FLOW_HEAD.flags) & FLOW_FLAG.REPLY) !== 0;
}

function nexthopsOf(value: Buffer, valueAt: number): number {
  const reply = value.readUInt16LE(valueAt + FLOW_HEAD.replyNexthop);
  return value.readUInt16LE(valueAt + FLOW_HEAD.nexthop) | (reply << 16);
}

type Family = Pick<QuickLayout, "lineCount" | "keyWordCount" | "readKey" | "hash">;

const IPV4: Family = {
  lineCount: 1,
  keyWordCount: 3,
  readKey: (key, keyAt, into) => {
    into[0] = key.readUInt32LE(keyAt + FLOW4_KEY.source);
    into[1] = key.readUInt32LE(keyAt + FLOW4_KEY.destination);
    into[2] = key.readUInt32LE(keyAt + FLOW4_KEY.sourcePort);
  },
  hash: (seed, words) => hashOf(seed, words[0] as number, words[1] as number, words[2] as number),
};

const IPV6: Family = {
  lineCount: 2,
  keyWordCount: 9,
  readKey: (key, keyAt, into) => {
    for (let i = 0; i < 4; i++) {
      into[i] = key.readUInt32LE(keyAt + FLOW6_KEY.source + 4 * i);
      into[4 + i] = key.readUInt32LE(keyAt + FLOW6_KEY.destination + 4 * i);
    }
    into[8] = key.readUInt32LE(keyAt + FLOW6_KEY.sourcePort);
  },
  hash: (seed, words) => hashOf(seed, digestOf(seed, words, 0), digestOf(seed, words, 4), words[8] as number),
};

export const QUICK_SCTP4: QuickLayout = {
  ...IPV4,
  kind: QUICK_KIND.SCTP4,
  write: (words, at, value, valueAt) => {
    const word = (offset: number) => value.readUInt32LE(valueAt + offset);
    words[at + QUICK4.newSource / 4] = word(FLOW4.newSource);
    words[at + QUICK4.newDestination / 4] = word(FLOW4.newDestination);
    words[at + QUICK4.replyDestination / 4] = hasReply(value, valueAt) ? word(FLOW4.replyDestination) : 0;
    words[at + QUICK4.newSourcePort / 4] = word(FLOW_HEAD.newSourcePort);
    words[at + QUICK4.tag / 4] = word(FLOW_HEAD.tag);
    words[at + QUICK4.checksumDelta / 4] =
      value.readUInt16LE(valueAt + FLOW4.checksumDelta) |
      (value.readUInt16LE(valueAt + FLOW4.replyChecksumDelta) << 16);
    words[at + QUICK4.nexthop / 4] = nexthopsOf(value, valueAt);
    words[at + QUICK4.change / 4] = 0;
    words[at + QUICK4.change / 4 + 1] = 0;
  },
  lastSeen: FLOW_HEAD.lastSeen,
  isQuick: flowIsQuick,
};

export const QUICK_SCTP6: QuickLayout = {
  ...IPV6,
  kind: QUICK_KIND.SCTP6,
  write: (words, at, value, valueAt) => {
    const word = (offset: number) => value.readUInt32LE(valueAt + offset);
    words[at + QUICK6.tag / 4] = word(FLOW_HEAD.tag);
    words[at + QUICK6.newSourcePort / 4] = word(FLOW_HEAD.newSourcePort);
    words[at + QUICK6.nexthop / 4] = nexthopsOf(value, valueAt);
    const rest = at + LINE_WORDS;
    for (let i = 0; i < 4; i++) {
      words[rest + QUICK6_REST.newSource / 4 + i] = word(FLOW6.newSource + 4 * i);
      words[rest + QUICK6_REST.newDestination / 4 + i] = word(FLOW6.newDestination + 4 * i);
      words[rest + QUICK6_REST.replyDestination / 4 + i] = word(FLOW6.replyDestination + 4 * i);
    }
    words[rest + QUICK6_REST.change / 4] = 0;
    words[rest + QUICK6_REST.change / 4 + 1] = 0;
    words[rest + QUICK6_REST.hasReply / 4] = hasReply(value, valueAt) ? 1 : 0;
  },
  lastSeen: FLOW_HEAD.lastSeen,
  isQuick: flowIsQuick,
};

/** Flags of TCP's and UDP's flows that packets need nothing but to be passed on of. */
const PLAIN_QUICK_FLAGS = PLAIN_FLAG.DOWN | PLAIN_FLAG.ASSURED | PLAIN_FLAG.EDGES | PLAIN_FLAG.QUICK;

interface PlainPlaces {
  /** Words from the first line's beginning on. */
  readonly plain: number;
  readonly newSource: number;
  readonly newDestination: number;
  readonly tcp: number;
}

function plainLayout(kind: number, family: Family, table: PlainLayout, places: PlainPlaces): QuickLayout {
  const { value: fields, addressSize } = table;
  const tcpAt = (at: number, offset: number) => at + places.tcp + offset / 4;
  const flagsOf = (words: Uint32Array, at: number) =>
    (words[at + places.plain + QUICK_PLAIN.nexthop / 4] as number) >>> 16;
  const isStopped = (words: Uint32Array, at: number) => words[tcpAt(at, QUICK_TCP.stopped)] !== 0;
  return {
    ...family,
    kind,
    write: (words, at, value, valueAt) => {
      const word = (offset: number) => value.readUInt32LE(valueAt + offset);
      const half = (offset: number) => value.readUInt16LE(valueAt + offset);
      const plain = at + places.plain;
      words[plain + QUICK_PLAIN.newSourcePort / 4] = word(fields.newSourcePort);
      words[plain + QUICK_PLAIN.addressDelta / 4] =
        half(fields.addressDelta) | (half(fields.transportDelta) << 16);
      words[plain + QUICK_PLAIN.nexthop / 4] = half(fields.nexthop) | (half(fields.flags) << 16);
      for (let i = 0; i < addressSize / 4; i++) {
        words[at + places.newSource + i] = word(fields.newSource + 4 * i);
        words[at + places.newDestination + i] = word(fields.newDestination + 4 * i);
      }
      words[tcpAt(at, QUICK_TCP.sequence)] = word(fields.sequence);
      words[tcpAt(at, QUICK_TCP.acknowledged)] = word(fields.acknowledged);
      words[tcpAt(at, QUICK_TCP.shift)] =
        half(fields.shift) |
        (value.readUInt8(valueAt + fields.scale) << 16) |
        (value.readUInt8(valueAt + fields.strange) << 24);
      words[tcpAt(at, QUICK_TCP.stopped)] = 0;
    },
    lastSeen: fields.lastSeen,
    isQuick: (value, valueAt) => (value.readUInt16LE(valueAt + fields.flags) & ~PLAIN_QUICK_FLAGS) === 0,
    edges: (words, at) =>
      isStopped(words, at) || (flagsOf(words, at) & PLAIN_FLAG.EDGES) === 0
        ? undefined
        : {
            sequence: words[tcpAt(at, QUICK_TCP.sequence)] as number,
            acknowledged: words[tcpAt(at, QUICK_TCP.acknowledged)] as number,
            strange: (words[tcpAt(at, QUICK_TCP.shift)] as number) >>> 24,
          },
    isStopped,
  };
}

const PLAIN4_PLACES: PlainPlaces = {
  plain: QUICK_PLAIN4.plain / 4,
  newSource: QUICK_PLAIN4.newSource / 4,
  newDestination: QUICK_PLAIN4.newDestination / 4,
  tcp: QUICK_PLAIN4.tcp / 4,
};
const PLAIN6_PLACES: PlainPlaces = {
  plain: QUICK_PLAIN6.plain / 4,
  newSource: LINE_WORDS + QUICK_PLAIN6_REST.newSource / 4,
  newDestination: LINE_WORDS + QUICK_PLAIN6_REST.newDestination / 4,
  tcp: LINE_WORDS + QUICK_PLAIN6_REST.tcp / 4,
};

export const QUICK_UDP4 = plainLayout(QUICK_KIND.UDP4, IPV4, PLAIN_LAYOUT4, PLAIN4_PLACES);
export const QUICK_TCP4 = plainLayout(QUICK_KIND.TCP4, IPV4, PLAIN_LAYOUT4, PLAIN4_PLACES);
export const QUICK_UDP6 = plainLayout(QUICK_KIND.UDP6, IPV6, PLAIN_LAYOUT6, PLAIN6_PLACES);
export const QUICK_TCP6 = plainLayout(QUICK_KIND.TCP6, IPV6, PLAIN_LAYOUT6, PLAIN6_PLACES);

// HMAC-SHA256 of a datagram (RFC 2104) by two calls of the hash: an idle member makes and checks four hundred
// tags a second, and making an object for each takes three times as long as the hashing. Digests are strings
// of a character for each byte: as a Buffer each would be memory of its own, and a tag take three times as long.
import { hash } from "node:crypto";
import { DATAGRAM_SIZE_MAX, TAG_SIZE } from "./message.ts";

const BLOCK_SIZE = 64;
const DIGEST_SIZE = 32;
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;
const NETWORK_SIZE = 2;

/** The key's block before the text, with room for the text behind it. */
interface Pads {
  readonly inner: Uint8Array;
  readonly outer: Uint8Array;
  /** As much of `inner` as was hashed last: the next text is as long, most of the time. */
  text: Uint8Array;
}

const known = new WeakMap<Uint8Array, Pads>();

/**
 * The last bytes of `datagram` become the tag of those before them. `key` must not be changed once it has been
 * used. Throws a RangeError for more bytes than a datagram may have.
 */
export function writeTag(datagram: Uint8Array, key: Uint8Array, network: number): void {
  const end = datagram.length - TAG_SIZE;
  const digest = digestOf(datagram, end, key, network);
  for (let at = 0; at < TAG_SIZE; at++) datagram[end + at] = digest.charCodeAt(at);
}

/** The last bytes are the tag of those before them. Takes as long wherever they differ. */
export function hasTag(datagram: Uint8Array, key: Uint8Array, network: number): boolean {
  const end = datagram.length - TAG_SIZE;
  const digest = digestOf(datagram, end, key, network);
  let difference = 0;
  for (let at = 0; at < TAG_SIZE; at++) difference |= digest.charCodeAt(at) ^ (datagram[end + at] as number);
  return difference === 0;
}

/** HMAC-SHA256 of the first `size` bytes and the network, a character for each byte. */
function digestOf(bytes: Uint8Array, size: number, key: Uint8Array, network: number): string {
  let pads = known.get(key);
  if (pads === undefined) {
    pads = padsOf(key);
    known.set(key, pads);
  }
  const { inner, outer } = pads;
  const end = BLOCK_SIZE + size;
  // The tag goes in as well, and is overwritten or left out: a view of what is before it costs more.
  inner.set(bytes, BLOCK_SIZE);
  inner[end] = network >>> 8;
  inner[end + 1] = network & 0xff;
  if (pads.text.length !== end + NETWORK_SIZE) pads.text = inner.subarray(0, end + NETWORK_SIZE);
  const digest = hash("sha256", pads.text, "binary");
  for (let at = 0; at < DIGEST_SIZE; at++) outer[BLOCK_SIZE + at] = digest.charCodeAt(at);
  return hash("sha256", outer, "binary");
}

function padsOf(key: Uint8Array): Pads {
  // RFC 2104 §2: a key longer than a block is hashed first.
  const short = key.length > BLOCK_SIZE ? hash("sha256", key, "buffer") : key;
  const inner = new Uint8Array(BLOCK_SIZE + DATAGRAM_SIZE_MAX + NETWORK_SIZE);
  const outer = new Uint8Array(BLOCK_SIZE + DIGEST_SIZE);
  for (let at = 0; at < BLOCK_SIZE; at++) {
    const byte = short[at] ?? 0;
    inner[at] = byte ^ INNER_PAD;
    outer[at] = byte ^ OUTER_PAD;
  }
  return { inner, outer, text: inner };
}

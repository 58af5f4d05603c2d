// What every capture at the edges of a cluster must show: no address of the other side, right checksums, and
// no ABORT that neither side sent.
import { type Address, addressBytes, addressFromBytes } from "@holdfast/model";
import {
  CHUNK,
  chunkValue,
  findChunk,
  type Init,
  isMalformed,
  parseInit,
  parsePacket,
  T_BIT,
  verifyChecksum,
} from "@holdfast/sctp";
import { type CapturedPacket, containsBytes } from "./packet.ts";

/**
 * Packets that carry one of `secrets` in any byte. State cookies do not count: they are their maker's own
 * bytes, go back to it unread, and some stacks write the maker's addresses into them.
 */
export function leaksOf(packets: readonly CapturedPacket[], secrets: readonly Address[]): CapturedPacket[] {
  const needles = secrets.map(addressBytes);
  return packets.filter((packet) => {
    const bytes = withoutCookies(packet);
    return needles.some((needle) => containsBytes(bytes, needle));
  });
}

/** The packet with its cookies blackened. */
function withoutCookies(packet: CapturedPacket): Uint8Array {
  if (packet.sctp === undefined) return packet.bytes;
  const parsed = parsePacket(packet.sctp.bytes);
  if (isMalformed(parsed)) return packet.bytes;
  const echo = findChunk(parsed, CHUNK.COOKIE_ECHO);
  const acknowledgement = findChunk(parsed, CHUNK.INIT_ACK);
  if (echo === undefined && acknowledgement === undefined) return packet.bytes;
  // Not slice(): a capture is a Buffer, whose slice() is the same memory.
  const bytes = new Uint8Array(packet.bytes);
  const blacken = (part: Uint8Array) =>
    bytes.fill(
      0,
      part.byteOffset - packet.bytes.byteOffset,
      part.byteOffset - packet.bytes.byteOffset + part.length,
    );
  if (echo !== undefined) blacken(chunkValue(echo));
  if (acknowledgement !== undefined) {
    const init = parseInit(acknowledgement);
    if (!isMalformed(init) && init.stateCookie !== undefined) blacken(init.stateCookie);
  }
  return bytes;
}

/** SCTP packets whose CRC32c is wrong. */
export function wrongChecksumsOf(packets: readonly CapturedPacket[]): CapturedPacket[] {
  return packets.filter(
    ({ sctp }) => sctp !== undefined && !verifyChecksum(sctp.bytes, 0, sctp.bytes.length),
  );
}

export function hasChunk(packet: CapturedPacket, type: number): boolean {
  return packet.sctp?.chunks.some((chunk) => chunk.type === type) === true;
}

/**
 * ABORTs that come from a VIP though neither side sent one with that tag: Holdfast's own. Tags pass
 * unchanged, so an ABORT that was relayed carries the tag that its sender wrote. `edges` are the packets of
 * all clients and endpoints. Not those that reflect a tag which no relayed packet ever had: the answers to
 * packets out of the blue (RFC 9260 §8.4).
 */
export function ownAbortsOf(edges: readonly CapturedPacket[], vips: readonly Address[]): CapturedPacket[] {
  const aborts = edges.filter((packet) => hasChunk(packet, CHUNK.ABORT));
  const fromVips = aborts.filter(({ source }) => vips.includes(source));
  const sent = new Set(
    aborts.filter((packet) => !fromVips.includes(packet)).map(({ sctp }) => sctp?.verificationTag),
  );
  const relayed = new Set(
    edges
      .filter((packet) => vips.includes(packet.source) && !hasChunk(packet, CHUNK.ABORT))
      .map(({ sctp }) => sctp?.verificationTag),
  );
  const isOutOfTheBlue = ({ sctp }: CapturedPacket) =>
    sctp?.chunks.length === 1 &&
    ((sctp.chunks[0]?.flags ?? 0) & T_BIT) !== 0 &&
    !relayed.has(sctp.verificationTag);
  return fromVips.filter((packet) => !sent.has(packet.sctp?.verificationTag) && !isOutOfTheBlue(packet));
}

/** The INIT or INIT-ACK of a packet; undefined for any other. */
export function initOf(packet: CapturedPacket): Init | undefined {
  if (packet.sctp === undefined) return undefined;
  const parsed = parsePacket(packet.sctp.bytes);
  if (isMalformed(parsed)) return undefined;
  const chunk = findChunk(parsed, CHUNK.INIT) ?? findChunk(parsed, CHUNK.INIT_ACK);
  if (chunk === undefined) return undefined;
  const init = parseInit(chunk);
  return isMalformed(init) ? undefined : init;
}

/** Addresses that an INIT or INIT-ACK lists, in their order. */
export function listedAddresses(packet: CapturedPacket): Address[] {
  return (initOf(packet)?.addresses ?? []).map((bytes) => addressFromBytes(bytes));
}

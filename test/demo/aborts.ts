// Which ABORTs Holdfast sent of its own: those that arrive at one side though the other side sent none with
// that tag. Tags pass through unchanged, so a relayed ABORT carries the tag that its sender wrote.
import type { Capture, CapturedPacket } from "@holdfast/testkit";

const CHUNK_ABORT = 6;
const CHUNK_INIT = 1;

const hasAbort = (packet: CapturedPacket) =>
  packet.sctp?.chunks.some((chunk) => chunk.type === CHUNK_ABORT) === true;

/**
 * `edges`: captures at every client and endpoint interface. `vips`: what comes from them came through a
 * member.
 */
export function countOwnAborts(edges: readonly Capture[], vips: readonly string[]): number {
  const relayed = new Set<number>();
  const arrived: number[] = [];
  for (const packet of edges.flatMap((edge) => edge.packets()).filter(hasAbort)) {
    const tag = packet.sctp?.verificationTag ?? 0;
    if (vips.includes(packet.source)) arrived.push(tag);
    else relayed.add(tag);
  }
  return arrived.filter((tag) => !relayed.has(tag)).length;
}

/** INITs with a tag of its own, by client port: more than one means that a stack started again. */
export function countInits(edges: readonly Capture[], vips: readonly string[]): number {
  const tags = new Set<string>();
  for (const packet of edges.flatMap((edge) => edge.packets())) {
    const init = packet.sctp?.chunks.find((chunk) => chunk.type === CHUNK_INIT);
    if (packet.sctp === undefined || init === undefined || !vips.includes(packet.destination)) continue;
    tags.add(`${packet.sctp.sourcePort} ${Buffer.from(init.bytes.subarray(4, 8)).toString("hex")}`);
  }
  return tags.size;
}

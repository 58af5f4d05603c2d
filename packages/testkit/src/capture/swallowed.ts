// What went into a cluster at one edge and came out at none.
import type { Address } from "@holdfast/model";
import type { CapturedPacket } from "./packet.ts";

/**
 * Packets to `vips` that left one edge between `fromMs` and `toMs` (wall) and reached no other edge, though
 * their way had been used before. `packets` are those of all edges. What is compared is what no member
 * changes: tag and chunks.
 */
export function swallowedOf(
  packets: readonly CapturedPacket[],
  vips: readonly Address[],
  fromMs: number,
  toMs: number,
): CapturedPacket[] {
  const own = new Set(vips);
  const content = ({ sctp }: CapturedPacket) =>
    sctp === undefined
      ? ""
      : `${sctp.verificationTag} ${Buffer.from(sctp.bytes.subarray(12)).toString("latin1")}`;
  const arrived = new Map<string, number>();
  for (const packet of packets) {
    if (!own.has(packet.source)) continue;
    arrived.set(content(packet), (arrived.get(content(packet)) ?? 0) + 1);
  }
  const ways = new Set<string>();
  const lost: CapturedPacket[] = [];
  for (const packet of [...packets].sort((a, b) => a.wallMs - b.wallMs)) {
    if (packet.sctp === undefined || !own.has(packet.destination) || packet.wallMs > toMs) continue;
    const way = `${packet.source} ${packet.destination} ${packet.sctp.verificationTag}`;
    const left = arrived.get(content(packet)) ?? 0;
    if (left > 0) arrived.set(content(packet), left - 1);
    else if (packet.wallMs >= fromMs && ways.has(way)) lost.push(packet);
    if (packet.wallMs < fromMs) ways.add(way);
  }
  return lost;
}

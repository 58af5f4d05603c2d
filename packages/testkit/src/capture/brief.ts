// A captured packet in one line, for people who look for what went wrong.
import { CHUNK, chunkName, read16, read32 } from "@holdfast/sctp";
import type { CapturedChunk, CapturedPacket } from "./packet.ts";

/**
 * Time of day (UTC), addresses, ports, tag and chunks, with TSNs of DATA, what SACKs acknowledge, and the
 * cause of an ABORT.
 */
export function brief({ wallMs, sctp, source, destination, protocol }: CapturedPacket): string {
  const time = new Date(wallMs).toISOString().slice(11, 23);
  if (sctp === undefined) return `${time} ${source} > ${destination} protocol ${protocol}`;
  const tag = sctp.verificationTag.toString(16).padStart(8, "0");
  const chunks = sctp.chunks.map(briefChunk).join(" ");
  return `${time} ${source}:${sctp.sourcePort} > ${destination}:${sctp.destinationPort} tag ${tag} ${chunks}`;
}

function briefChunk({ type, bytes }: CapturedChunk): string {
  const name = chunkName(type);
  if (type === CHUNK.DATA && bytes.length >= 16) return `${name} ${read32(bytes, 4)}`;
  if (type === CHUNK.SACK && bytes.length >= 16) {
    const gaps = read16(bytes, 12);
    return `${name} ${read32(bytes, 4)} (window ${read32(bytes, 8)}${gaps > 0 ? `, ${gaps} gap blocks` : ""})`;
  }
  if (type === CHUNK.ABORT && bytes.length >= 6) return `${name} (cause ${read16(bytes, 4)})`;
  return name;
}

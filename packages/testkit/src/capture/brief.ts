// A captured packet in one line, for people who look for what went wrong.
import { CHUNK } from "@holdfast/sctp";
import type { CapturedChunk, CapturedPacket } from "./packet.ts";

const NAMES = new Map(Object.entries(CHUNK).map(([name, type]) => [type as number, name]));

/** Time of day (UTC), addresses, ports, tag and chunks, with TSNs of DATA, what SACKs acknowledge, and the cause of an ABORT. */
export function brief({ wallMs, sctp, source, destination, protocol }: CapturedPacket): string {
  const time = new Date(wallMs).toISOString().slice(11, 23);
  if (sctp === undefined) return `${time} ${source} > ${destination} protocol ${protocol}`;
  const tag = sctp.verificationTag.toString(16).padStart(8, "0");
  const chunks = sctp.chunks.map(briefChunk).join(" ");
  return `${time} ${source}:${sctp.sourcePort} > ${destination}:${sctp.destinationPort} tag ${tag} ${chunks}`;
}

function briefChunk({ type, bytes }: CapturedChunk): string {
  const name = NAMES.get(type) ?? `chunk ${type}`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (type === CHUNK.DATA && bytes.length >= 16) return `${name} ${view.getUint32(4)}`;
  if (type === CHUNK.SACK && bytes.length >= 16) {
    const gaps = view.getUint16(12);
    return `${name} ${view.getUint32(4)} (window ${view.getUint32(8)}${gaps > 0 ? `, ${gaps} gap blocks` : ""})`;
  }
  if (type === CHUNK.ABORT && bytes.length >= 6) return `${name} (cause ${view.getUint16(4)})`;
  return name;
}

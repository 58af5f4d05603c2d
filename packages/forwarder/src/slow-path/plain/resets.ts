// Resets that are made here: to both ends of a connection that an operator takes away, so that they need not
// wait for silence, and to a client whose connection nobody knows any more.
import { PROTOCOL_TCP, sourceOf } from "@holdfast/model";
import { drop } from "../../core.ts";
import { TCP_FLAG } from "../../packet/plain/header.ts";
import { type Ends, segmentPacket } from "../../packet/plain/segment.ts";
import { type LocalFlow, servicePortOf } from "./flow.ts";
import type { PlainInput } from "./input.ts";
import type { Room } from "./room.ts";

/** A reset whose number its receiver expects next (RFC 5961 §3.2). */
function resetPacket(ends: Ends, sequence: number): Uint8Array {
  return segmentPacket(ends, { flags: TCP_FLAG.RST, sequence });
}

/** Client and endpoint are told, as far as this member has seen what they expect next. */
export function tellEnds(room: Room, { record, up, down }: LocalFlow): undefined {
  if (record.protocol !== PROTOCOL_TCP) return;
  const { vip, client, clientPort, endpoint, endpointPort, natPort, shift } = record;
  // Each acknowledges what it expects next; as the other end counts it.
  const toClient = up?.edges?.acknowledged;
  const toEndpoint = down?.edges?.acknowledged;
  if (toClient !== undefined) {
    const ends = { source: vip, sourcePort: servicePortOf(record), destination: client };
    reset(room, resetPacket({ ...ends, destinationPort: clientPort }, toClient));
  }
  if (toEndpoint !== undefined) {
    const ends = { source: sourceOf(record), sourcePort: natPort, destination: endpoint };
    reset(room, resetPacket({ ...ends, destinationPort: endpointPort }, toEndpoint + shift));
  }
}

/**
 * All members were asked, and nobody knows the connection of a client's packet: it is told, so that it
 * begins anew instead of asking into silence (RFC 9293 §3.5.2, group 1). Not while anybody might know it.
 */
export function refuseUnknown(room: Room, input: PlainInput): undefined {
  const { core } = room;
  const { header, source, destination } = input;
  drop(core, "no-session", input.bytes);
  const nowMs = core.clock.nowMs();
  if (!input.allAnswered || !core.certainty.holds(nowMs) || !header.has(TCP_FLAG.ACK)) return;
  if (header.has(TCP_FLAG.RST) || !core.answerRate.take(nowMs, source)) return;
  const ends = { source: destination, sourcePort: header.destinationPort, destination: source };
  reset(room, resetPacket({ ...ends, destinationPort: header.sourcePort }, header.acknowledgment));
}

function reset(room: Room, bytes: Uint8Array): undefined {
  if (room.core.fastPath.send(bytes)) room.core.counters.count("resets-sent");
  else drop(room.core, "send-failed", bytes);
}

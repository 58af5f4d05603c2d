// What a peer fetches: as much of a segment as one message takes. Of what is not here the answer is empty.
import { SEGMENT_MESSAGE_BYTES_AIM, SEGMENT_MESSAGE_CHANGE_COUNT_MAX } from "../ports/limits.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { Shelf } from "./shelf.ts";

export function segmentFor(
  shelf: Shelf,
  { actor, segment, fromTick }: Extract<PeerMessage, { kind: "fetch" }>,
): Extract<PeerMessage, { kind: "segment" }> {
  const held = shelf.journals.get(actor)?.segments.get(segment);
  const all = held?.segment.changes(fromTick, fromTick + SEGMENT_MESSAGE_CHANGE_COUNT_MAX) ?? [];
  const changes: Uint8Array[] = [];
  let size = 0;
  for (const change of all) {
    if (changes.length > 0 && size + change.length > SEGMENT_MESSAGE_BYTES_AIM) break;
    changes.push(change);
    size += change.length;
  }
  const sealed = held?.sealedTicks !== undefined && fromTick + changes.length >= held.sealedTicks;
  return { kind: "segment", actor, segment, fromTick, changes, sealed };
}

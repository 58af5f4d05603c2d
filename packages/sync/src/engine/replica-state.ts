// Whether another member holds a session as it is here, told from its record itself. Acknowledgements cannot
// tell: they speak of the own journal as a whole, and not of what came from others.
import { kindOf, kindOfBytes, type SessionEnvelope } from "@holdfast/model";
import type { ReplicaState } from "../sync.ts";

/**
 * `theirs`: the bytes of the other member's record, or of what it carries of the session; none when it knows
 * none.
 */
export function compareReplica(ours: SessionEnvelope | undefined, theirs: Uint8Array): ReplicaState {
  if (ours === undefined) return theirs.length > 0 ? "holds" : "unknown";
  const kind = kindOf(ours.protocol);
  const decoding = kindOfBytes(theirs)?.decode(theirs);
  if (kind === undefined || decoding === undefined || !("delta" in decoding)) return "behind";
  const record: SessionEnvelope = kind.join(kind.empty(ours.id), decoding.delta);
  // Of an ended session a late member knows the end alone.
  if (kind.isEnded(ours)) {
    const { end } = kind.join(record, { id: ours.id, end: ours.end });
    return kind.isEnded(record) && end === record.end ? "holds" : "behind";
  }
  return kind.join(record, ours) === record ? "holds" : "behind";
}

// Whether another member holds a session as it is here, told from its record itself. Acknowledgements cannot tell: they
// speak of the own journal as a whole, and not of what came from others.
import {
  compareEnds,
  decodeSession,
  type End,
  emptyRecord,
  isEnded,
  join,
  type SessionRecord,
} from "@holdfast/model";
import type { ReplicaState } from "../sync.ts";

/** `theirs`: the bytes of the other member's record, none when it knows none. */
export function compareReplica(ours: SessionRecord | undefined, theirs: Uint8Array): ReplicaState {
  const decoding = decodeSession(theirs);
  if (ours === undefined) return "holds";
  if (!("delta" in decoding)) return "behind";
  const record = join(emptyRecord(ours.id), decoding.delta);
  // Of an ended session a late member knows the end alone.
  if (isEnded(ours))
    return isEnded(record) && compareEnds(record.end as End, ours.end as End) >= 0 ? "holds" : "behind";
  return join(record, ours) === record ? "holds" : "behind";
}

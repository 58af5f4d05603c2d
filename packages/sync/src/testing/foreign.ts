// What a later version might write, for tests: records of other protocols, further facts.
import { ByteWriter, type SessionId, sessionIdToBytes } from "@holdfast/model";

const HAS_IDENTITY = 1;
const HAS_ACTIVITY = 64;
const HAS_END = 128;

export interface ForeignRecord {
  readonly protocol: number;
  readonly activity?: number;
  /** For good. */
  readonly ended?: boolean;
  /** At this activity epoch. */
  readonly timedOutAt?: number;
  readonly body?: Uint8Array;
}

export function foreignRecord(id: SessionId, record: ForeignRecord): Uint8Array {
  const { protocol, activity, ended = false, timedOutAt, body = Uint8Array.of(1, 2, 3) } = record;
  const hasEnd = ended || timedOutAt !== undefined;
  const out = new ByteWriter();
  out.bytes(sessionIdToBytes(id));
  out.u8(HAS_IDENTITY | (activity === undefined ? 0 : HAS_ACTIVITY) | (hasEnd ? HAS_END : 0));
  out.u8(protocol);
  // IPv4 service 203.0.113.1, port 443; client port 40,000.
  out.bytes(Uint8Array.of(4, 203, 0, 113, 1, 1, 187));
  out.u16(40_000);
  if (activity !== undefined) out.varint(activity);
  if (hasEnd) {
    out.u8(0);
    out.u8(ended ? 1 : 0);
    out.varint(1);
    out.varint(timedOutAt ?? 0);
  }
  out.bytes(body);
  return out.copy();
}

export function furtherFact(
  id: SessionId,
  kind: number,
  body: Uint8Array = new Uint8Array(0),
  ended = false,
): Uint8Array {
  const out = new ByteWriter();
  out.bytes(sessionIdToBytes(id));
  out.u8(0);
  out.u8(kind);
  out.u8(ended ? 1 : 0);
  out.bytes(body);
  return out.copy();
}

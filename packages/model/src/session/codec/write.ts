// Records and deltas to bytes; see format.ts.

import { PROTOCOL_SCTP } from "../../service.ts";
import { ByteWriter, ipv4Of, ipv6Of } from "../bytes.ts";
import { sessionIdToBytes } from "../identity.ts";
import { compareText } from "../order.ts";
import { type End, PHASES, type SessionDelta, type SessionRecord } from "../record.ts";
import { writeBody } from "../sctp/write-body.ts";
import {
  ADDRESS_IPV4,
  ADDRESS_IPV6,
  ADDRESS_TEXT,
  CAUSES,
  FLAGS_OFFSET,
  HAS_ACTIVITY,
  HAS_CREATED,
  HAS_END,
  HAS_IDENTITY,
} from "./format.ts";

const NEVER = Number.MAX_SAFE_INTEGER;

const scratch = new ByteWriter();

/** The canonical bytes of a record or delta: bottom values (empty, 0, undefined) leave no trace. */
export function encodeSession(delta: SessionDelta): Uint8Array {
  scratch.clear();
  writeSession(scratch, delta);
  return scratch.copy();
}

/** Appends the canonical bytes of a record or delta. */
export function writeSession(out: ByteWriter, delta: SessionDelta): void {
  out.bytes(sessionIdToBytes(delta.id, ID_SCRATCH));
  const flagsAt = out.length;
  out.u8(0);
  let flags = 0;
  if (delta.serviceId !== undefined && delta.serviceId !== "") {
    flags |= HAS_IDENTITY;
    out.u8(delta.protocol ?? PROTOCOL_SCTP);
    writeService(out, delta.serviceId);
    out.u16(delta.clientPort ?? 0);
  }
  if (delta.createdAtMs !== undefined && delta.createdAtMs !== NEVER) {
    flags |= HAS_CREATED;
    out.varint(delta.createdAtMs);
  }
  flags |= writeBody(out, delta);
  if (delta.activity !== undefined && delta.activity > 0) {
    flags |= HAS_ACTIVITY;
    out.varint(delta.activity);
  }
  if (delta.end !== undefined) {
    flags |= HAS_END;
    writeEnd(out, delta.end);
  }
  out.patch(flagsAt, flags);
}

function writeEnd(out: ByteWriter, { cause, absorbing, epochSeen, phaseSeen, activitySeen }: End): void {
  out.u8(CAUSES.indexOf(cause));
  out.u8((PHASES.indexOf(phaseSeen) << 1) | (absorbing ? 1 : 0));
  out.varint(epochSeen);
  out.varint(activitySeen);
}

/** Appends what `bytes`, a record without an end, become with one: the end is the last thing of a record. */
export function writeWithEnd(out: ByteWriter, bytes: Uint8Array, end: End): void {
  const at = out.length;
  out.bytes(bytes);
  out.patch(at + FLAGS_OFFSET, (bytes[FLAGS_OFFSET] as number) | HAS_END);
  writeEnd(out, end);
}

const ID_SCRATCH = new Uint8Array(16);

/** Services are few and records many: what was written last is mostly written again. */
let lastServiceId = "";
let lastServiceBytes: Uint8Array = new Uint8Array(0);

function writeService(out: ByteWriter, serviceId: string): void {
  if (serviceId !== lastServiceId) {
    const at = out.length;
    writeServiceAnew(out, serviceId);
    lastServiceId = serviceId;
    lastServiceBytes = out.copy(at);
    return;
  }
  out.bytes(lastServiceBytes);
}

function writeServiceAnew(out: ByteWriter, serviceId: string): void {
  const match = /^sctp\/(?:\[([0-9a-f:]+)\]|([0-9.]+)):([1-9][0-9]{0,4})$/.exec(serviceId);
  const port = Number(match?.[3]);
  if (match !== null && port <= 65535) {
    if (match[2] !== undefined) {
      const value = ipv4Of(match[2]);
      if (value >= 0) {
        out.u8(ADDRESS_IPV4);
        out.u32(value);
        out.u16(port);
        return;
      }
    } else {
      const ipv6 = ipv6Of(match[1] as string);
      if (ipv6 !== undefined) {
        out.u8(ADDRESS_IPV6);
        out.bytes(ipv6);
        out.u16(port);
        return;
      }
    }
  }
  out.u8(ADDRESS_TEXT);
  out.text(serviceId);
}

/** The canonical form of what a member holds, for comparison: its living records by id. */
export function canonicalForm(records: Iterable<SessionRecord>): Uint8Array[] {
  return [...records].sort((a, b) => compareText(a.id, b.id)).map((record) => encodeSession(record));
}

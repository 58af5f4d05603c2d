// A punted packet of TCP or UDP, read once, with what travels beside it; and the two ways in which it leaves.
import type { Address, ServiceId, SessionQuestion } from "@holdfast/model";
import { type IpHeader, onesSum, PROTOCOL, read16 } from "@holdfast/sctp";
import type { SlowPathDropReason } from "../../counters/drop-reasons.ts";
import type { Punt, PuntReason } from "../../fast-path/port.ts";
import { addressAt } from "../../packet/input.ts";
import { datagramEnd, PlainHeader, UDP_CHECKSUM_OFFSET } from "../../packet/plain/header.ts";
import { translatePlain } from "../../packet/plain/translate.ts";
import { isUnicast } from "../../path-mapping/client-filter.ts";
import { type LocalFlow, leavingOf } from "./flow.ts";

export interface PlainInput {
  /** Whole IP packet. Valid only during the punt, unless `own` says otherwise. */
  readonly bytes: Uint8Array;
  readonly ip: IpHeader;
  readonly header: PlainHeader;
  readonly source: Address;
  readonly destination: Address;
  readonly reason: PuntReason;
  readonly checksumPartial: boolean;
  /** Forwarded already; only to learn from. */
  readonly copy: boolean;
  /** Reassembled, or too long: leaves in fragments of at most this many bytes. */
  readonly fragmentSize: number | undefined;
  /** The other members were asked: not a second time. */
  readonly asked: boolean;
  readonly allAnswered: boolean;
}

/** Whether another member knows the flow that it is of. */
export function questionOf({ source, header }: PlainInput, serviceId: ServiceId): SessionQuestion {
  return { kind: "client", serviceId, client: source, clientPort: header.sourcePort };
}

/**
 * A refusal is a drop reason: a broken header, a source that no host can have, a checksum that does not fit.
 */
export function readPlain(
  punt: Punt,
  ip: IpHeader,
  fragmentSize: number | undefined,
): PlainInput | SlowPathDropReason {
  const bytes = punt.packet;
  const header = new PlainHeader();
  if (header.read(bytes, ip) !== undefined) return "malformed";
  if (!isUnicast(bytes.subarray(ip.sourceOffset, ip.sourceOffset + ip.addressSize)))
    return "source-not-unicast";
  if (!punt.checksumPartial && !isChecksumRight(bytes, ip, header)) return "bad-checksum";
  return {
    bytes,
    ip,
    header,
    source: addressAt(bytes, ip.sourceOffset, ip.addressSize),
    destination: addressAt(bytes, ip.destinationOffset, ip.addressSize),
    reason: punt.reason,
    checksumPartial: punt.checksumPartial,
    copy: punt.copy,
    fragmentSize,
    asked: false,
    allAnswered: false,
  };
}

/**
 * RFC 9293 §3.1, RFC 768: the pseudo header's sum and all of the segment's is minus zero. A datagram without
 * one may be a tunnel's in IPv6, too; whether it is meant is the receiver's to judge, and what forwards it
 * treats it as any other (RFC 6936 §5, 8 and 10).
 */
function isChecksumRight(bytes: Uint8Array, ip: IpHeader, header: PlainHeader): boolean {
  const { sourceOffset, addressSize, protocol } = ip;
  const isUdp = protocol === PROTOCOL.UDP;
  if (isUdp && read16(bytes, header.start + UDP_CHECKSUM_OFFSET) === 0) return true;
  const end = isUdp ? datagramEnd(bytes, header.start, header.end) : header.end;
  let sum = onesSum(bytes, sourceOffset, sourceOffset + 2 * addressSize) + protocol;
  sum += end - header.start + onesSum(bytes, header.start, end);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return sum === 0xffff;
}

/** The same packet with bytes of its own, so that it can wait. */
export function ownPlain(input: PlainInput, changes: Partial<PlainInput>): PlainInput {
  return { ...input, ...changes, bytes: input.bytes.slice() };
}

/** The packet as it leaves in a direction of a flow; `shift`: see PlainTcp. */
export function translateInput(
  input: PlainInput,
  { record }: LocalFlow,
  direction: "up" | "down",
  shift: number,
): Uint8Array {
  const translation = { ...leavingOf(record, direction), shift, direction };
  return translatePlain(input.bytes, input.ip, input.header, translation, input.checksumPartial);
}

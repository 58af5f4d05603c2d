// ICMP errors that Holdfast makes itself: too big, hop limit exceeded. They carry the packet as its sender
// knew it, that is before translation, or no stack would find the association that it belongs to (RFC 1191,
// RFC 8201).
import {
  encodeIp,
  type IpHeader,
  internetChecksum,
  PROTOCOL,
  pseudoHeaderSum,
  write16,
  write32,
} from "@holdfast/sctp";
import { type Core, drop } from "../core.ts";
import type { Punt } from "../fast-path/port.ts";
import { addressAt } from "../packet/input.ts";
import { isUnicast } from "../path-mapping/client-filter.ts";

/** RFC 1812 §4.3.2.3: as much as fits without exceeding 576 bytes; RFC 4443 §3.2: the minimum MTU, 1,280. */
const IPV4_ERROR_SIZE_MAX = 576;
const IPV6_ERROR_SIZE_MAX = 1_280;
/** When the fast path cannot say: what every link carries (RFC 791, RFC 8200 §5). */
export const IPV4_MTU_LEAST = 576;
const IPV6_MTU_LEAST = 1_280;

export type OwnError = "too-big" | "ttl-expired";

export function sendIcmpError(core: Core, punt: Punt, ip: IpHeader, kind: OwnError): undefined {
  drop(core, kind, punt.packet);
  const sender = addressAt(punt.packet, ip.sourceOffset, ip.addressSize);
  if (!core.icmpRate.take(core.clock.nowMs(), sender)) return;
  const { packet } = punt;
  const source = packet.subarray(ip.sourceOffset, ip.sourceOffset + ip.addressSize);
  const destination = packet.subarray(ip.destinationOffset, ip.destinationOffset + ip.addressSize);
  if (!isUnicast(source)) return;
  const mtu = punt.mtu ?? (ip.version === 4 ? IPV4_MTU_LEAST : IPV6_MTU_LEAST);
  const [type, code] = typeAndCode(ip.version, kind);
  const error = encodeIcmp({
    version: ip.version,
    type,
    code,
    word: kind === "too-big" ? mtu : 0,
    source: destination,
    destination: source,
    inner: packet.subarray(0, ip.end),
  });
  if (core.fastPath.send(error)) core.counters.count("icmp-sent");
  else drop(core, "send-failed", error);
}

function typeAndCode(version: 4 | 6, kind: OwnError): readonly [number, number] {
  if (version === 4) return kind === "too-big" ? [3, 4] : [11, 0];
  return kind === "too-big" ? [2, 0] : [3, 0];
}

export interface IcmpFields {
  readonly version: 4 | 6;
  readonly type: number;
  readonly code: number;
  /** The second word: next-hop MTU, pointer, or 0. */
  readonly word: number;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** The packet that the error is about; cut to what an error may carry. */
  readonly inner: Uint8Array;
}

/** A whole ICMP or ICMPv6 packet. */
export function encodeIcmp(fields: IcmpFields): Uint8Array {
  const { version, source, destination } = fields;
  const room = version === 4 ? IPV4_ERROR_SIZE_MAX - 20 - 8 : IPV6_ERROR_SIZE_MAX - 40 - 8;
  const inner = fields.inner.subarray(0, room);
  const payload = new Uint8Array(8 + inner.length);
  payload[0] = fields.type;
  payload[1] = fields.code;
  write32(payload, 4, fields.word >>> 0);
  payload.set(inner, 8);
  const protocol = version === 4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6;
  // RFC 4443 §2.3: ICMPv6 sums a pseudo header, too.
  const pseudo = version === 4 ? 0 : pseudoHeaderSum(source, destination, payload.length, protocol);
  write16(payload, 2, internetChecksum(payload, 0, payload.length, pseudo));
  return encodeIp({ source, destination, payload, protocol, dontFragment: false });
}

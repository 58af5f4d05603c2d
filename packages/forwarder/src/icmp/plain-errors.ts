// ICMP and ICMPv6 errors about packets of TCP and UDP that left on a flow (RFC 5508 §4, RFC 4787 REQ-12,
// RFC 5382 REQ-9): translated outer and inner to the host whose packet caused them. They end no flow: what
// an error means is for that host to judge (RFC 5927).
//
// The way back of the quoted packet is the flow of the other direction, and says all: who sent it, and what
// it was before translation. So a member that has the flow needs no record.
import { IpHeader, PROTOCOL, read16, read32, writeIpv4Checksum } from "@holdfast/sctp";
import { type Core, drop } from "../core.ts";
import type { PlainEntry } from "../fast-path/plain.ts";
import type { FlowKey, Punt } from "../fast-path/port.ts";
import { addressAt } from "../packet/input.ts";
import {
  PlainHeader,
  TCP_DATA_OFFSET_OFFSET,
  TCP_HEADER_SIZE,
  TCP_SEQUENCE_OFFSET,
  UDP_HEADER_SIZE,
} from "../packet/plain/header.ts";
import { translatePlain } from "../packet/plain/translate.ts";
import { isWithin, windowOf } from "../packet/plain/window.ts";
import { bytesOf } from "../packet/translate.ts";
import type { Opening } from "../slow-path/plain/opening.ts";
import { encodeIcmp } from "./own-errors.ts";
import { padded } from "./quotation.ts";

/** Ports and sequence number; RFC 792: the first eight bytes are always there. */
const PROOF_SIZE = 8;
/** RFC 792, RFC 4443 §3.1. */
const V4_UNREACHABLE = 3;
const V4_TOO_BIG_CODE = 4;
const V6_UNREACHABLE = 1;

/** The connection whose SYN is all that went to its endpoint; `key`: of what would come back. */
export type OpeningFinder = (key: FlowKey) => Opening | undefined;

const PROTOCOL_OFFSET = { 4: 9, 6: 6 } as const;

/** Whether an error's quotation is of TCP or UDP, without extension headers. */
export function quotesPlain(quoted: Uint8Array, version: 4 | 6): boolean {
  const protocol = quoted[PROTOCOL_OFFSET[version]];
  return protocol === PROTOCOL.TCP || protocol === PROTOCOL.UDP;
}

/** `quoted`: the packet inside, cut off anywhere. */
export function handlePlainIcmp(
  core: Core,
  punt: Punt,
  ip: IpHeader,
  quoted: Uint8Array,
  openingAt: OpeningFinder,
): undefined {
  const { packet } = punt;
  const inner = new IpHeader();
  const whole = padded(quoted, ip.version);
  if (whole === undefined || inner.read(whole) !== undefined || inner.version !== ip.version)
    return drop(core, "icmp-unrelated", packet);
  const start = inner.payloadOffset;
  if (inner.fragmentOffset !== 0 || quoted.length < start + PROOF_SIZE || inner.end < start + PROOF_SIZE)
    return drop(core, "icmp-unrelated", packet);
  const source = addressAt(quoted, inner.sourceOffset, inner.addressSize);
  // What we send has an address of ours as its source, and the error comes back to it.
  if (source !== addressAt(packet, ip.destinationOffset, ip.addressSize))
    return drop(core, "icmp-unrelated", packet);
  const key = {
    protocol: inner.protocol,
    source: addressAt(quoted, inner.destinationOffset, inner.addressSize),
    destination: source,
    sourcePort: read16(quoted, start + 2),
    destinationPort: read16(quoted, start),
  };
  const sequence = read32(quoted, start + TCP_SEQUENCE_OFFSET) >>> 0;
  const installed = core.fastPath.plain.read(key);
  // Before its endpoint has answered, the slow path says what becomes of a connection.
  const isOpening = installed === undefined || installed.flow.awaiting !== undefined;
  const opening = isOpening ? openingAt(key) : undefined;
  const back = opening?.back ?? installed;
  if (back === undefined) return drop(core, "icmp-unrelated", packet);
  const isProven = opening === undefined ? isInFlight(back, sequence) : sequence === opening.sequence;
  if (!isProven) return drop(core, "icmp-unproven", packet);
  if (opening !== undefined && isUnreachable(punt, ip) && opening.moves()) return;
  const to = back.flow.newDestination;
  if (!core.icmpTranslatedRate.take(core.clock.nowMs(), to)) return drop(core, "icmp-rate", packet);
  const at = ip.payloadOffset;
  const error = encodeIcmp({
    version: ip.version,
    type: packet[at] as number,
    code: packet[at + 1] as number,
    word: read32(packet, at + 4),
    // The VIP, whoever reported: a router's address, or the other side's own, is nothing for this side to
    // see.
    source: bytesOf(back.flow.newSource),
    destination: bytesOf(to),
    inner: asItWas(whole, inner, back).subarray(0, quoted.length),
  });
  if (core.fastPath.send(error)) core.counters.count("icmp-translated");
  else drop(core, "send-failed", error);
}

/** The packet did not get there, and would not if it were smaller. */
function isUnreachable({ packet }: Punt, ip: IpHeader): boolean {
  const [type, code] = [packet[ip.payloadOffset], packet[ip.payloadOffset + 1]];
  return ip.version === 6 ? type === V6_UNREACHABLE : type === V4_UNREACHABLE && code !== V4_TOO_BIG_CODE;
}

/**
 * RFC 5927 §4.1: the quoted sequence number is one that was sent and not yet acknowledged. UDP has nothing
 * to show.
 */
function isInFlight({ flow, state }: PlainEntry, sequence: number): boolean {
  if (flow.awaiting !== undefined) return sequence === (flow.awaiting.sequence - 1) >>> 0;
  if (flow.tcp === undefined || state.edges === undefined) return true;
  // As the acknowledgment arrives: the other end counts a PROXY header, too.
  const shift = flow.direction === "down" ? flow.tcp.shift : 0;
  return isWithin(sequence, state.edges.acknowledged + shift, windowOf(flow.tcp.windowScale));
}

/** The quoted packet as its sender sent it. */
function asItWas(whole: Uint8Array, inner: IpHeader, { flow }: PlainEntry): Uint8Array {
  const header = new PlainHeader();
  const start = inner.payloadOffset;
  header.isTcp = inner.protocol === PROTOCOL.TCP;
  header.start = start;
  header.end = inner.end;
  header.sourcePort = read16(whole, start);
  header.destinationPort = read16(whole, start + 2);
  const optionsEnd = ((whole[start + TCP_DATA_OFFSET_OFFSET] ?? 0) >>> 4) * 4;
  const size = header.isTcp ? Math.max(optionsEnd, TCP_HEADER_SIZE) : UDP_HEADER_SIZE;
  header.headerSize = Math.min(size, inner.end - start);
  // Cut off in the middle of what is to be rewritten: there is room behind it.
  const room = new Uint8Array(Math.max(whole.length, start + TCP_HEADER_SIZE));
  room.set(whole);
  inner.end = room.length;
  const was = translatePlain(
    room,
    inner,
    header,
    {
      newSource: flow.newDestination,
      newDestination: flow.newSource,
      newSourcePort: flow.newDestinationPort,
      newDestinationPort: flow.newSourcePort,
      shift: -(flow.tcp?.shift ?? 0),
      direction: flow.direction === "down" ? "up" : "down",
    },
    false,
  );
  // Its hop limit is what was left of it where the error was made.
  was[inner.version === 4 ? 8 : 7] = inner.hopLimit;
  if (inner.version === 4) writeIpv4Checksum(was);
  return was;
}

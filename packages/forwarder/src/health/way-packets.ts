// What asks whether a way is there, and what answers: INIT and INIT-ACK of SCTP, SYN and SYN-ACK of TCP.
import { type Address, PROTOCOL_TCP, type Protocol } from "@holdfast/model";
import { CHUNK, encodeInit, encodePacket, T_BIT } from "@holdfast/sctp";
import type { SctpInput } from "../packet/input.ts";
import { type PlainHeader, TCP_FLAG } from "../packet/plain/header.ts";
import { segmentPacket } from "../packet/plain/segment.ts";
import { ownPacket } from "../packet/translate.ts";

interface Question {
  readonly protocol: Protocol;
  readonly vip: Address;
  readonly address: Address;
  readonly sourcePort: number;
  readonly port: number;
  /** Drawn for it; SCTP's initiate tag, TCP's first sequence number. */
  readonly tag: number;
}

/** Nobody sends data through it. */
const SYN_WINDOW = 1_024;

/** undefined: VIP and endpoint are not of one family. */
export function questionOf({
  protocol,
  vip,
  address,
  sourcePort,
  port,
  tag,
}: Question): Uint8Array | undefined {
  if (protocol === PROTOCOL_TCP) {
    const ends = { source: vip, sourcePort, destination: address, destinationPort: port };
    return segmentPacket(ends, { flags: TCP_FLAG.SYN, sequence: tag, window: SYN_WINDOW });
  }
  const init = encodeInit({ initiateTag: tag, initialTsn: tag });
  const packet = { sourcePort, destinationPort: port, verificationTag: 0, chunks: [init] };
  return ownPacket(vip, address, encodePacket(packet));
}

/** The tag that an SCTP packet answers; undefined: it is no answer. */
export function tagAnswered({ chunks, verificationTag }: SctpInput["packet"]): number | undefined {
  const [first] = chunks;
  const isAnswer =
    first?.type === CHUNK.INIT_ACK || (first?.type === CHUNK.ABORT && (first.flags & T_BIT) === 0);
  return isAnswer ? verificationTag : undefined;
}

/**
 * The tag that a segment answers: of a SYN-ACK, or of a reset that says which SYN it refuses (RFC 9293
 * §3.10.7.3).
 */
export function numberAnswered(header: PlainHeader): number | undefined {
  const isAnswer = header.has(TCP_FLAG.ACK) && (header.has(TCP_FLAG.SYN) || header.has(TCP_FLAG.RST));
  return isAnswer ? (header.acknowledgment - 1) >>> 0 : undefined;
}

// Bytes that come with a SYN (RFC 7413, TCP Fast Open; RFC 9293 §3.10.7.4 allows them anyway).
import { IpHeader, read16, write16, writeIpv4Checksum } from "@holdfast/sctp";
import { PlainHeader, TCP_HEADER_SIZE } from "../../packet/plain/header.ts";
import { windowScaleOf } from "../../packet/plain/options.ts";
import { isWithin } from "../../packet/plain/window.ts";
import type { LocalFlow } from "./flow.ts";
import type { PlainInput } from "./input.ts";

const OPTION_END = 0;
const OPTION_NOTHING = 1;
const OPTION_FAST_OPEN = 34;
/** RFC 6994: what stacks used before the option had a number of its own. */
const OPTION_EXPERIMENT = 254;
const EXPERIMENT_FAST_OPEN = 0xf989;
const IPV4_LENGTH_OFFSET = 2;
const IPV6_LENGTH_OFFSET = 4;
const IPV6_HEADER_SIZE = 40;

/** A SYN's number, and how many bytes came with it. */
export interface Syn {
  readonly sequence: number;
  readonly size: number;
}

export function synOf({ header }: Pick<PlainInput, "header">): Syn {
  const { sequence, sequenceEnd } = header;
  return { sequence, size: (sequenceEnd - sequence - 1) >>> 0 };
}

/** The client's SYN; when it comes again without its bytes, the endpoint may have them all the same. */
export function takeSyn(flow: LocalFlow, input: PlainInput): undefined {
  const { sequence, size } = synOf(input);
  flow.synSize = sequence === flow.clientSequence ? Math.max(flow.synSize, size) : size;
  flow.clientSequence = sequence;
  flow.clientScale = windowScaleOf(input.bytes, input.header);
}

/** Whether a number acknowledges just that SYN, with none, some or all of its bytes. */
export function acknowledgesSyn(acknowledgment: number, { sequence, size }: Syn): boolean {
  return isWithin(acknowledgment, (sequence + 1) >>> 0, size);
}

/**
 * The SYN alone. A service with a PROXY header has its endpoint told nothing before that: bytes of a SYN
 * would be read in its place, and say what their client likes. Whoever sent them sends them again, since
 * nobody acknowledges them.
 */
export function withoutSynData(input: PlainInput): PlainInput {
  const { start, headerSize } = input.header;
  const end = start + headerSize;
  const bytes = input.bytes.slice(0, end);
  if (!hidesFastOpen(bytes, start + TCP_HEADER_SIZE) && input.ip.end === end) return input;
  if (input.ip.version === 4) {
    write16(bytes, IPV4_LENGTH_OFFSET, end);
    writeIpv4Checksum(bytes);
  } else write16(bytes, IPV6_LENGTH_OFFSET, end - IPV6_HEADER_SIZE);
  const [ip, header] = [new IpHeader(), new PlainHeader()];
  ip.read(bytes);
  header.read(bytes, ip);
  // The checksum is made anew.
  return { ...input, bytes, ip, header, checksumPartial: true, fragmentSize: undefined };
}

/** In place: nobody asks for a cookie, or has one. Whether there was such an option. */
function hidesFastOpen(bytes: Uint8Array, from: number): boolean {
  let found = false;
  for (let at = from; at + 1 < bytes.length; ) {
    const kind = bytes[at] as number;
    if (kind === OPTION_END) break;
    if (kind === OPTION_NOTHING) {
      at += 1;
      continue;
    }
    const size = bytes[at + 1] as number;
    if (size < 2 || at + size > bytes.length) break;
    const isExperiment = kind === OPTION_EXPERIMENT && size >= 4;
    if (kind === OPTION_FAST_OPEN || (isExperiment && read16(bytes, at + 2) === EXPERIMENT_FAST_OPEN)) {
      bytes.fill(OPTION_NOTHING, at, at + size);
      found = true;
    }
    at += size;
  }
  return found;
}

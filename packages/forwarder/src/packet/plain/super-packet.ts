// What a local stack leaves to a device to cut (segmentation offload), or a device put together: many segments
// or datagrams with the headers of one. The fast path forwards it as it is; the slow path takes it apart.
import {
  IPV4_ID_OFFSET,
  IPV4_TOTAL_LENGTH_OFFSET,
  IPV6_HEADER_SIZE,
  IPV6_PAYLOAD_LENGTH_OFFSET,
  type IpHeader,
  read16,
  write16,
  write32,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import { PlainHeader, TCP_FLAG, TCP_FLAGS_OFFSET, TCP_SEQUENCE_OFFSET, UDP_LENGTH_OFFSET } from "./header.ts";

const PSH = 8;
const CWR = 128;

/**
 * Whole IP packets, in order, checksums but IPv4's not filled in. `size`: of each one's payload. The packet
 * itself where it cannot be read.
 */
export function partsOf(bytes: Uint8Array, ip: IpHeader, size: number): Uint8Array[] {
  const header = new PlainHeader();
  if (header.read(bytes, ip) !== undefined) return [bytes];
  const headers = header.start + header.headerSize;
  const parts: Uint8Array[] = [];
  for (let at = headers; at < ip.end; at += size) {
    const part = new Uint8Array(headers + Math.min(size, ip.end - at));
    part.set(bytes.subarray(0, headers));
    part.set(bytes.subarray(at, at + part.length - headers), headers);
    writeLength(part, ip, parts.length);
    if (header.isTcp) writeSegment(part, header, at - headers, at + size >= ip.end);
    else write16(part, header.start + UDP_LENGTH_OFFSET, part.length - header.start);
    parts.push(part);
  }
  return parts.length === 0 ? [bytes] : parts;
}

function writeLength(part: Uint8Array, { version }: IpHeader, index: number): void {
  if (version === 6) {
    write16(part, IPV6_PAYLOAD_LENGTH_OFFSET, part.length - IPV6_HEADER_SIZE);
    return;
  }
  write16(part, IPV4_TOTAL_LENGTH_OFFSET, part.length);
  write16(part, IPV4_ID_OFFSET, (read16(part, IPV4_ID_OFFSET) + index) & 0xffff);
  writeIpv4Checksum(part);
}

/** RFC 3168 §6.1.2: one segment alone says that the window was reduced. A FIN is behind the last byte. */
function writeSegment(part: Uint8Array, header: PlainHeader, offset: number, isLast: boolean): void {
  const { start, sequence } = header;
  write32(part, start + TCP_SEQUENCE_OFFSET, (sequence + offset) >>> 0);
  const flags = part[start + TCP_FLAGS_OFFSET] as number;
  const others = (isLast ? 0 : TCP_FLAG.FIN | PSH) | (offset === 0 ? 0 : CWR);
  part[start + TCP_FLAGS_OFFSET] = flags & ~others;
}

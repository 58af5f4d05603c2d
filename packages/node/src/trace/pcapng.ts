// pcapng (draft-ietf-opsawg-pcapng): section header, one interface of raw IP packets, enhanced packets with
// comments.
//
//  0                   1                   2                   3
//  +---------------------------------------------------------------+
//  |                          Block Type                           |
//  |                      Block Total Length                       |
//  |                    Body, padded to 32 bits                    |
//  |                      Block Total Length                       |
//  +---------------------------------------------------------------+
import type { TracedPacket } from "./hub.ts";

const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** LINKTYPE_RAW: the packet begins with its IPv4 or IPv6 header. */
const LINKTYPE_RAW = 101;
const OPTION_END = 0;
const OPTION_COMMENT = 1;
const OPTION_SHB_USERAPPL = 4;
const OPTION_IF_NAME = 2;
const BLOCK_OVERHEAD = 12;

const padded = (length: number) => (length + 3) & ~3;

function block(type: number, body: Buffer): Buffer {
  const total = BLOCK_OVERHEAD + body.length;
  const bytes = Buffer.alloc(total);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(total, 4);
  body.copy(bytes, 8);
  bytes.writeUInt32LE(total, total - 4);
  return bytes;
}

function option(code: number, text: string): Buffer {
  const value = Buffer.from(text.slice(0, 4096), "utf8");
  const bytes = Buffer.alloc(4 + padded(value.length));
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt16LE(value.length, 2);
  value.copy(bytes, 4);
  return bytes;
}
const optionEnd = Buffer.alloc(4, OPTION_END);

/** What a file begins with. */
export function fileHead(application: string): Buffer {
  const section = Buffer.alloc(16);
  section.writeUInt32LE(BYTE_ORDER_MAGIC, 0);
  section.writeUInt16LE(1, 4);
  section.writeUInt16LE(0, 6);
  section.writeBigInt64LE(-1n, 8);
  const description = Buffer.alloc(8);
  description.writeUInt16LE(LINKTYPE_RAW, 0);
  description.writeUInt32LE(0, 4);
  return Buffer.concat([
    block(SECTION_HEADER, Buffer.concat([section, option(OPTION_SHB_USERAPPL, application), optionEnd])),
    block(INTERFACE_DESCRIPTION, Buffer.concat([description, option(OPTION_IF_NAME, "holdfast"), optionEnd])),
  ]);
}

/** One packet with its reason as comment; microseconds since the epoch. */
export function enhancedPacket({ packet, reason, wallMs, interfaceIndex }: TracedPacket, note = ""): Buffer {
  const head = Buffer.alloc(20);
  const timestamp = BigInt(Math.round(wallMs * 1000));
  head.writeUInt32LE(0, 0);
  head.writeUInt32LE(Number(timestamp >> 32n), 4);
  head.writeUInt32LE(Number(timestamp & 0xffff_ffffn), 8);
  head.writeUInt32LE(packet.length, 12);
  head.writeUInt32LE(packet.length, 16);
  const data = Buffer.alloc(padded(packet.length));
  data.set(packet);
  const where = interfaceIndex > 0 ? ` on interface ${interfaceIndex}` : "";
  const comment = option(OPTION_COMMENT, `${reason}${where}${note}`);
  return block(ENHANCED_PACKET, Buffer.concat([head, data, comment, optionEnd]));
}

// PROXY protocol, version 2 (haproxy's proxy-protocol.txt §2.2): the endpoint is told who the client is before
// the client's first byte. The header is a segment of our own, made of the handshake's ACK; all that the client
// sends is numbered behind it (`shift` of the record). Until the endpoint has acknowledged it every packet of
// the connection comes to the slow path, and each of the client's brings it again.
import { type Address, addressBytes, type PlainRecord, type Service } from "@holdfast/model";
import { IpHeader, write16, write32, writeIpv4Checksum } from "@holdfast/sctp";
import { drop } from "../../core.ts";
import {
  PlainHeader,
  TCP_ACKNOWLEDGMENT_OFFSET,
  TCP_FLAG,
  TCP_FLAGS_OFFSET,
  TCP_SEQUENCE_OFFSET,
} from "../../packet/plain/header.ts";
import { translatePlain } from "../../packet/plain/translate.ts";
import { type Introduction, type LocalFlow, leavingOf, servicePortOf } from "./flow.ts";
import type { PlainInput } from "./input.ts";
import type { Room } from "./room.ts";

const SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a];
const VERSION_2_PROXY = 0x21;
const TCP_OVER = { 4: 0x11, 6: 0x21 } as const;
const PREFIX_SIZE = 16;
const HEADER_SIZE = { 4: PREFIX_SIZE + 12, 6: PREFIX_SIZE + 36 } as const;
const PSH = 8;
const TCP_URGENT_OFFSET = 18;
const IPV4_LENGTH_OFFSET = 2;
const IPV6_LENGTH_OFFSET = 4;
const IPV6_HEADER_SIZE = 40;
/** The header is sent again so often at most. */
const AGAIN_MS = 200;
/** And so often when nobody speaks. */
const SILENT_AGAIN_MS = 1_000;

/** What a connection to a VIP of the service is shifted by, bytes; 0: no header. */
export function proxyShiftOf({ proxyProtocol }: Service, vip: Address): number {
  if (proxyProtocol !== true) return 0;
  return HEADER_SIZE[vip.includes(":") ? 6 : 4];
}

/** The header alone. */
export function proxyHeader(
  record: Pick<PlainRecord, "client" | "clientPort" | "vip" | "serviceId">,
): Uint8Array {
  const [client, vip] = [addressBytes(record.client), addressBytes(record.vip)];
  const version = client.length === 4 ? 4 : 6;
  const bytes = new Uint8Array(HEADER_SIZE[version]);
  bytes.set(SIGNATURE);
  bytes[SIGNATURE.length] = VERSION_2_PROXY;
  bytes[SIGNATURE.length + 1] = TCP_OVER[version];
  write16(bytes, SIGNATURE.length + 2, bytes.length - PREFIX_SIZE);
  bytes.set(client, PREFIX_SIZE);
  bytes.set(vip, PREFIX_SIZE + client.length);
  write16(bytes, bytes.length - 4, record.clientPort);
  write16(bytes, bytes.length - 2, servicePortOf(record));
  return bytes;
}

/**
 * Sends the header, made of a packet of the client's: its acknowledgment, window and options (RFC 7323: a time
 * stamp is in every segment or in none).
 */
export function introduce(room: Room, flow: LocalFlow, input: PlainInput): undefined {
  const { introduction } = flow;
  if (introduction === undefined || !introduction.isNumbered) return;
  introduction.segment = segmentOf(input, flow);
  send(room, introduction);
}

/** The same again, unless it was sent just now. `isSilent`: nothing was heard that calls for it. */
export function introduceAgain(room: Room, { introduction }: LocalFlow, isSilent: boolean): undefined {
  if (introduction?.segment === undefined) return;
  const sinceMs = room.core.clock.nowMs() - introduction.sentMs;
  if (sinceMs >= (isSilent ? SILENT_AGAIN_MS : AGAIN_MS)) send(room, introduction);
}

/**
 * Whether a packet of the endpoint's shows that it has the header. One that does not begin a connection, of a
 * handshake that is not numbered here, does: the endpoint has seen nothing of the client's but the header, since
 * this member holds everything else back.
 */
export function acknowledgesHeader(flow: LocalFlow, { header }: PlainInput): boolean {
  if (flow.introduction?.isNumbered !== true) return true;
  const after = (header.acknowledgment - flow.clientSequence - 1) >>> 0;
  return header.has(TCP_FLAG.ACK) && after >= flow.record.shift && after < 0x8000_0000;
}

/**
 * Whether bytes of the client's stand before its first number: behind the header's length they would be where
 * the endpoint awaits the header, and be taken for it if that was lost.
 */
export function wantsHeadersPlace({ introduction, clientSequence }: LocalFlow, header: PlainHeader): boolean {
  if (introduction === undefined || header.sequenceEnd === header.sequence) return false;
  return (header.sequence - clientSequence - 1) >>> 0 >= 0x8000_0000;
}

/**
 * A SYN with another number than the one that was answered. Until the endpoint answers this one, too, it counts
 * from the other: a header with numbers that it has passed would be an old duplicate there, and the client's
 * bytes behind it the first.
 */
export function beginsAnew(flow: LocalFlow, sequence: number): undefined {
  if (flow.record.shift === 0 || flow.stage !== "answered" || sequence === flow.clientSequence) return;
  flow.stage = "opening";
}

function send({ core }: Room, introduction: Introduction): undefined {
  const { segment } = introduction;
  if (segment === undefined) return;
  introduction.sentMs = core.clock.nowMs();
  if (core.fastPath.send(segment)) core.counters.count("proxy-headers-sent");
  else drop(core, "send-failed", segment);
}

function segmentOf(input: PlainInput, flow: LocalFlow): Uint8Array {
  const { start, headerSize } = input.header;
  const payload = proxyHeader(flow.record);
  const bytes = new Uint8Array(start + headerSize + payload.length);
  bytes.set(input.bytes.subarray(0, start + headerSize));
  bytes.set(payload, start + headerSize);
  bytes[start + TCP_FLAGS_OFFSET] = TCP_FLAG.ACK | PSH;
  write32(bytes, start + TCP_SEQUENCE_OFFSET, (flow.clientSequence + 1) >>> 0);
  write32(bytes, start + TCP_ACKNOWLEDGMENT_OFFSET, input.header.acknowledgment);
  write16(bytes, start + TCP_URGENT_OFFSET, 0);
  if (input.ip.version === 4) {
    write16(bytes, IPV4_LENGTH_OFFSET, bytes.length);
    writeIpv4Checksum(bytes);
  } else write16(bytes, IPV6_LENGTH_OFFSET, bytes.length - IPV6_HEADER_SIZE);
  const [ip, header] = [new IpHeader(), new PlainHeader()];
  ip.read(bytes);
  header.read(bytes, ip);
  const translation = { ...leavingOf(flow.record, "up"), shift: 0, direction: "up" as const };
  // The checksum is made anew.
  return translatePlain(bytes, ip, header, translation, true);
}

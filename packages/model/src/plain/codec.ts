// Records of TCP and UDP as bytes. The frame is the one of all records that older versions carry without
// being able to read them (session/codec/foreign.ts); the body:
//
//   body    = client vip endpoint endpointPort(2) natPort(2) member marks windowScale(1) shift(2) [source]
//   address = 4 ipv4(4) | 6 ipv6(16)
//   end     = cause(1) absorbing(1) marks-seen activity-seen
//
// Numbers without a width are varints. Decoding is total. What is longer is a later version's, and is
// carried.
import { type Address, NO_ADDRESS } from "../address.ts";
import { PROTOCOL_TCP, PROTOCOL_UDP, serviceIdOf } from "../service.ts";
import { ByteReader, type ByteWriter, ipv4Of, ipv4Text, ipv6Of } from "../session/bytes.ts";
import {
  ADDRESS_IPV4,
  ADDRESS_IPV6,
  ADDRESS_TEXT,
  CAUSES,
  HAS_ACTIVITY,
  HAS_CREATED,
  HAS_END,
  HAS_IDENTITY,
  RECORD_BYTES_MAX,
  TEXT_LENGTH_MAX,
} from "../session/codec/format.ts";
import { sessionIdToBytes } from "../session/identity.ts";
import type { End } from "../session/record.ts";
import { MARKS_MAX, type PlainRecord } from "./record.ts";

const WINDOW_SCALE_MAX = 14;
const SERVICE = /^(?:tcp|udp)\/(?:\[([0-9a-f:]+)\]|([0-9.]+)):([1-9][0-9]{0,4})$/;

/** Appends a whole record. */
export function writePlain(out: ByteWriter, record: PlainRecord): void {
  const { end, activity } = record;
  out.bytes(sessionIdToBytes(record.id));
  out.u8(HAS_IDENTITY | HAS_CREATED | (activity > 0 ? HAS_ACTIVITY : 0) | (end === undefined ? 0 : HAS_END));
  out.u8(record.protocol);
  writeService(out, record.serviceId);
  out.u16(record.clientPort);
  out.varint(record.createdAtMs);
  if (activity > 0) out.varint(activity);
  if (end !== undefined) {
    out.u8(CAUSES.indexOf(end.cause));
    out.u8(end.absorbing ? 1 : 0);
    out.varint(end.epochSeen);
    out.varint(end.activitySeen);
  }
  for (const address of [record.client, record.vip, record.endpoint]) writeAddress(out, address);
  out.u16(record.endpointPort);
  out.u16(record.natPort);
  out.varint(record.member);
  out.varint(record.marks);
  out.u8(record.windowScale);
  out.u16(record.shift & 0xffff);
  if (record.source !== undefined) writeAddress(out, record.source);
}

function writeAddress(out: ByteWriter, address: Address): void {
  const ipv4 = ipv4Of(address);
  if (ipv4 >= 0) {
    out.u8(ADDRESS_IPV4);
    out.u32(ipv4);
    return;
  }
  out.u8(ADDRESS_IPV6);
  out.bytes(ipv6Of(address) ?? new Uint8Array(16));
}

function writeService(out: ByteWriter, id: string): void {
  const match = SERVICE.exec(id);
  const port = Number(match?.[3]);
  const isPlace = match !== null && port <= 65_535;
  const address = match?.[2] ?? match?.[1] ?? "";
  if (isPlace && hasBytes(address)) {
    writeAddress(out, address);
    out.u16(port);
    return;
  }
  out.u8(ADDRESS_TEXT);
  out.text(id);
}

/** Whether it comes back from bytes as the same text. */
function hasBytes(text: string): text is Address {
  return ipv4Of(text) >= 0 || ipv6Of(text) !== undefined;
}

/** The record; undefined: it is none of TCP or UDP, broken, or a later version's. Never throws. */
export function decodePlain(bytes: Uint8Array, offset = 0, stop = bytes.length): PlainRecord | undefined {
  if (stop - offset > RECORD_BYTES_MAX) return undefined;
  const input = new ByteReader(bytes, offset, stop);
  const id = input.sessionId();
  const flags = input.u8();
  const known = HAS_IDENTITY | HAS_CREATED | HAS_ACTIVITY | HAS_END;
  if ((flags & HAS_IDENTITY) === 0 || (flags & ~known) !== 0) return undefined;
  const protocol = input.u8();
  if (protocol !== PROTOCOL_TCP && protocol !== PROTOCOL_UDP) return undefined;
  const serviceId = readService(input, protocol);
  const clientPort = input.u16();
  const createdAtMs = flags & HAS_CREATED ? input.varint() : Number.MAX_SAFE_INTEGER;
  const activity = flags & HAS_ACTIVITY ? input.varint() : 0;
  const end = flags & HAS_END ? readEnd(input) : undefined;
  if (flags & HAS_END && end === undefined) return undefined;
  const [client, vip, endpoint] = [readAddress(input), readAddress(input), readAddress(input)];
  const body = {
    ...{ id, protocol, serviceId, clientPort, createdAtMs, activity, end, client, vip, endpoint },
    endpointPort: input.u16(),
    natPort: input.u16(),
    member: input.varint(),
    marks: input.varint(),
    windowScale: input.u8(),
    shift: (input.u16() << 16) >> 16,
  };
  const record: PlainRecord = { ...body, ...(input.left > 0 && { source: readAddress(input) }) };
  const isWell =
    !input.failed &&
    input.left === 0 &&
    serviceId !== "" &&
    record.marks <= MARKS_MAX &&
    record.windowScale <= WINDOW_SCALE_MAX &&
    client.includes(":") === vip.includes(":") &&
    endpoint.includes(":") === vip.includes(":") &&
    record.source !== vip &&
    (record.source === undefined || record.source.includes(":") === vip.includes(":"));
  return isWell ? record : undefined;
}

function readEnd(input: ByteReader): End | undefined {
  const cause = CAUSES[input.u8()];
  const absorbing = (input.u8() & 1) === 1;
  const epochSeen = input.varint();
  const activitySeen = input.varint();
  return cause === undefined ? undefined : { cause, absorbing, epochSeen, phaseSeen: "init", activitySeen };
}

function readAddress(input: ByteReader): Address {
  const kind = input.u8();
  if (kind === ADDRESS_IPV4) return ipv4Text(input.u32());
  if (kind === ADDRESS_IPV6) return input.ipv6();
  input.fail();
  return NO_ADDRESS;
}

function readService(input: ByteReader, protocol: number): string {
  const kind = input.u8();
  if (kind === ADDRESS_IPV4) return serviceIdOf(protocol, ipv4Text(input.u32()), input.u16());
  if (kind === ADDRESS_IPV6) return serviceIdOf(protocol, input.ipv6(), input.u16());
  return kind === ADDRESS_TEXT ? input.text(TEXT_LENGTH_MAX) : "";
}

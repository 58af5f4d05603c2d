// Packets of TCP and UDP for the comparison of BPF and reference: around the numbers that the flows believe.
import type { PlainFlow } from "@holdfast/forwarder";
import { TCP_FLAG, writePlainChecksum } from "@holdfast/forwarder/testing";
import { type Address, addressBytes } from "@holdfast/model";
import { encodeIp, IpHeader, PROTOCOL, write16, write32, writeIpv4Checksum } from "@holdfast/sctp";
import fc from "fast-check";

export interface PlainFamily {
  readonly vip: Address;
  readonly endpoint: Address;
  readonly client: (index: number) => Address;
  readonly stranger: Address;
}

export const PLAIN_FAMILIES: readonly PlainFamily[] = [
  {
    vip: "203.0.113.1",
    endpoint: "10.9.0.20",
    client: (index) => `10.1.0.${index + 1}`,
    stranger: "192.0.2.200",
  },
  {
    vip: "2001:db8:1::1",
    endpoint: "fd00:9::20",
    client: (index) => `fd00:1::${(index + 1).toString(16)}`,
    stranger: "2001:db8:ffff::1",
  },
];
export const SERVED_PORT = 8080;
/** Not everybody may begin there. */
export const PICKY_PORT = 8443;
export const ENDPOINT_PORT = 80;

/** A packet to be built around what a flow believes when it is its turn. */
export interface PacketPlan {
  /** Which flow. */
  readonly flow: number;
  /** Of TCP: all flags. */
  readonly flags: number;
  /** From the flow's last number, and acknowledgment. */
  readonly sequenceBy: number;
  readonly acknowledgmentBy: number;
  /** Numbers counted from the other direction's instead: what a FIN or RST is measured by. */
  readonly fromOther: boolean;
  readonly options: Uint8Array;
  readonly payload: Uint8Array;
  readonly hopLimit: number;
  readonly checksum: "right" | "zero" | "wrong" | "unfinished";
  /** `opens`: acknowledges just what the flow believes. `begins`: the SYN, or SYN-ACK, before that. */
  readonly shape:
    | "opens"
    | "begins"
    | "whole"
    | "fragment"
    | "short"
    | "extension"
    | "quoted"
    | "udpLength"
    | "noFlow";
  /** For shapes that need a number. */
  readonly detail: number;
}

const NUMBERS = [
  0,
  1,
  -1,
  100,
  1_460,
  65_535,
  -65_535,
  65_536,
  65_535 << 7,
  (65_535 << 7) + 1,
  2 ** 30,
  2 ** 31,
];
const { SYN, FIN, RST, ACK } = TCP_FLAG;
const FLAGS = [
  ACK,
  ACK,
  ACK,
  ACK | 8,
  FIN | ACK,
  RST,
  RST | ACK,
  SYN,
  SYN | ACK,
  FIN,
  0,
  SYN | FIN,
  FIN | RST,
  0xff,
];
/** Segment sizes and window scales, such that fit and such that do not, twice, broken and cut. */
const SYN_OPTIONS = [
  "",
  "020405b4",
  "020405b5",
  "020405a0",
  "020405a1",
  "0204ffff0402010303090000",
  "020405b40402080a000000000000000001030307",
  "01030302",
  "010303ff020402180204ffff",
  "03030e030305020302180204",
  "000204ffff030307",
  "0801030307000000",
  "08630204ffff0000",
];
/** NOP, NOP, SACK of one block; of three at an odd place; broken ones; timestamps before a SACK. */
const OPTIONS = [
  "",
  "",
  "01010101",
  "0101050a0000100000002000",
  "01051a000010000000200000003000000040000000500000006000000000",
  "0101080a00000001000000020101050affffff00000000ff",
  "050a00001000ffff",
  "05ff0000",
  "0500000000000000",
  "0206050a00001000",
];

export const packetPlan: fc.Arbitrary<PacketPlan> = fc.record({
  flow: fc.nat(1_000),
  flags: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...FLAGS) }, { weight: 1, arbitrary: fc.nat(255) }),
  sequenceBy: number(),
  acknowledgmentBy: number(),
  fromOther: fc.boolean(),
  options: fc.constantFrom(...OPTIONS, ...SYN_OPTIONS).map((text) => Buffer.from(text, "hex")),
  payload: fc.uint8Array({ maxLength: 64 }),
  hopLimit: fc.constantFrom(64, 64, 64, 255, 2, 1, 0),
  checksum: fc.constantFrom("right", "right", "right", "zero", "wrong", "unfinished"),
  shape: fc.oneof(
    { weight: 10, arbitrary: fc.constant("whole" as const) },
    { weight: 5, arbitrary: fc.constant("opens" as const) },
    { weight: 4, arbitrary: fc.constant("begins" as const) },
    {
      weight: 4,
      arbitrary: fc.constantFrom("fragment", "short", "extension", "quoted", "udpLength", "noFlow"),
    },
  ),
  detail: fc.nat(65_535),
});

function number(): fc.Arbitrary<number> {
  return fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(...NUMBERS.slice(0, 5)) },
    { weight: 3, arbitrary: fc.constantFrom(...NUMBERS) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 2 ** 32 - 1 }) },
  );
}

export interface Believed {
  readonly sequence: number;
  readonly acknowledged: number;
}

/** The packet, as it arrives on the flow. */
export function buildPlain(plan: PacketPlan, flow: PlainFlow, own: Believed, other: Believed): Uint8Array {
  const { key, direction, tcp } = flow;
  const shift = tcp?.shift ?? 0;
  const begins = plan.shape === "begins";
  const isJust = begins || plan.shape === "opens";
  // One in four is off by some.
  const by = begins ? (plan.detail % 4 === 0 ? plan.sequenceBy : 0) - 1 : plan.sequenceBy;
  const sequence = (plan.fromOther && !isJust ? other.acknowledged : own.sequence) + by;
  const acknowledged =
    own.acknowledged + (direction === "down" ? shift : 0) + (isJust ? 0 : plan.acknowledgmentBy);
  const isTcp = key.protocol === PROTOCOL.TCP;
  const flags = begins ? SYN | (direction === "down" ? ACK : 0) : plan.flags;
  const payload = isTcp ? segment({ ...plan, flags }, sequence, acknowledged) : datagram(plan);
  const noFlow = plan.shape === "noFlow";
  write16(payload, 0, noFlow && plan.detail & 1 ? plan.detail : key.sourcePort);
  write16(payload, 2, noFlow ? strangePort(plan.detail) : key.destinationPort);
  if (plan.shape === "quoted") return quoting(plan, flow, payload);
  const packet = encodeIp({
    source: addressBytes(key.source),
    destination: addressBytes(key.destination),
    payload,
    protocol: key.protocol,
    hopLimit: plan.hopLimit,
  });
  const shaped = shapedAs(plan, packet);
  finish(shaped, plan.checksum);
  return shaped;
}

function strangePort(detail: number): number {
  return [SERVED_PORT, PICKY_PORT, detail >> 1][detail % 3] as number;
}

function segment(
  { flags, options, payload, shape }: PacketPlan,
  sequence: number,
  acknowledged: number,
): Uint8Array {
  const size = 20 + options.length;
  const bytes = new Uint8Array(size + payload.length);
  write32(bytes, 4, sequence >>> 0);
  write32(bytes, 8, acknowledged >>> 0);
  bytes[12] = (size / 4) << 4;
  bytes[13] = shape === "opens" ? ACK : flags;
  write16(bytes, 14, 501);
  bytes.set(options, 20);
  bytes.set(payload, size);
  return bytes;
}

function datagram({ payload, shape, detail }: PacketPlan): Uint8Array {
  const bytes = new Uint8Array(8 + payload.length);
  write16(bytes, 4, shape === "udpLength" ? detail % 100 : bytes.length);
  bytes.set(payload, 8);
  return bytes;
}

function shapedAs({ shape, detail }: PacketPlan, packet: Uint8Array): Uint8Array {
  const isIpv4 = (packet[0] as number) >>> 4 === 4;
  if (shape === "short") {
    const size = Math.max(isIpv4 ? 20 : 40, packet.length - (detail % packet.length));
    const cut = packet.slice(0, size);
    if (isIpv4) write16(cut, 2, size);
    else write16(cut, 4, size - 40);
    return cut;
  }
  if (shape === "fragment" && isIpv4) write16(packet, 6, detail & 0x3fff);
  if (shape !== "extension" && (shape !== "fragment" || isIpv4)) return packet;
  return isIpv4 ? withOptions(packet, detail % 11) : withExtension(packet, detail, shape === "fragment");
}

function withOptions(packet: Uint8Array, words: number): Uint8Array {
  const longer = new Uint8Array(packet.length + words * 4);
  longer.set(packet.subarray(0, 20));
  longer.fill(1, 20, 20 + words * 4);
  longer.set(packet.subarray(20), 20 + words * 4);
  longer[0] = 0x45 + words;
  write16(longer, 2, longer.length);
  return longer;
}

function withExtension(packet: Uint8Array, detail: number, isFragment: boolean): Uint8Array {
  const longer = new Uint8Array(packet.length + 8);
  longer.set(packet.subarray(0, 40));
  longer[40] = packet[6] as number;
  longer[6] = isFragment ? 44 : 60;
  // An atomic fragment is whole, and the padding of options may be anything.
  write16(longer, 42, isFragment ? detail & 0xfff9 : 0x0104);
  longer.set(packet.subarray(40), 48);
  write16(longer, 4, longer.length - 40);
  return longer;
}

/**
 * An ICMP error about a packet that left on the flow of the other direction, to what is this flow's source.
 */
function quoting({ detail }: PacketPlan, flow: PlainFlow, payload: Uint8Array): Uint8Array {
  const { key } = flow;
  const inner = encodeIp({
    source: addressBytes(key.destination),
    destination: addressBytes(key.source),
    payload: swapPorts(payload),
    protocol: key.protocol,
  });
  const isIpv4 = (inner[0] as number) >>> 4 === 4;
  const icmp = new Uint8Array(8 + inner.length - (detail % 16));
  icmp[0] = isIpv4 ? 3 : 1;
  icmp[1] = detail & 3;
  icmp.set(inner.subarray(0, icmp.length - 8), 8);
  return encodeIp({
    source: addressBytes(isIpv4 ? "192.0.2.200" : "2001:db8:ffff::1"),
    destination: addressBytes(key.destination),
    payload: icmp,
    protocol: isIpv4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6,
  });
}

function swapPorts(payload: Uint8Array): Uint8Array {
  const swapped = payload.slice();
  swapped.set(payload.subarray(2, 4), 0);
  swapped.set(payload.subarray(0, 2), 2);
  return swapped;
}

function finish(packet: Uint8Array, checksum: PacketPlan["checksum"]): void {
  const ip = new IpHeader();
  if ((packet[0] as number) >>> 4 === 4) writeIpv4Checksum(packet);
  if (ip.read(packet) !== undefined || ip.fragment) return;
  const at = checksumAt(ip);
  if (at + 2 > ip.end) return;
  writePlainChecksum(packet, ip);
  if (checksum === "zero") write16(packet, at, 0);
  if (checksum === "wrong") write16(packet, at, 0x1234);
  if (checksum === "unfinished") write16(packet, at, pseudoSum(packet, ip));
}

function checksumAt(ip: IpHeader): number {
  return ip.payloadOffset + (ip.protocol === PROTOCOL.TCP ? 16 : 6);
}

function pseudoSum(packet: Uint8Array, ip: IpHeader): number {
  const empty = packet.slice(0, ip.end);
  // Nothing but the pseudo header is left to sum.
  empty.fill(0, ip.payloadOffset);
  writePlainChecksum(empty, ip);
  const at = checksumAt(ip);
  return ~((empty[at] as number) * 256 + (empty[at + 1] as number)) & 0xffff;
}

/** Whether the checksum is no more than the pseudo header's sum: such a packet XDP leaves to TC. */
export function isUnfinished(packet: Uint8Array): boolean {
  const ip = new IpHeader();
  if (ip.read(packet) !== undefined || ip.fragment) return false;
  if (ip.protocol !== PROTOCOL.TCP && ip.protocol !== PROTOCOL.UDP) return false;
  const at = checksumAt(ip);
  if (at + 2 > ip.end) return false;
  const found = (packet[at] as number) * 256 + (packet[at + 1] as number);
  return found !== 0 && found === pseudoSum(packet, ip);
}

// Packets for comparing fast paths: mostly what real hosts send, and every way in which bytes can be wrong.
import type { Random } from "@holdfast/model";
import {
  CHUNK,
  encodeAbort,
  encodeChunk,
  encodeCookieAck,
  encodeCookieEcho,
  encodeData,
  encodeError,
  encodeHeartbeat,
  encodeHeartbeatAck,
  encodeInit,
  encodeInitAck,
  encodeSack,
  encodeShutdown,
  encodeShutdownAck,
  encodeShutdownComplete,
  encodeUserInitiatedAbort,
  write16,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import { icmpPacket, ipPacket, type SctpEnds, sctpPacket } from "./build.ts";
import { type GeneratedFlow, type PacketWorld, pick, WORLD_SERVICE_PORT } from "./world.ts";

export interface GeneratedPacket {
  /** A whole IP packet, link-layer padding behind it at times. */
  readonly bytes: Uint8Array;
  /** Which generator made it, for the message of a failing test. */
  readonly kind: string;
}

type Generator = (random: Random, world: PacketWorld) => Uint8Array;

/** One packet; the same random sequence gives the same packets. */
export function generatePacket(random: Random, world: PacketWorld): GeneratedPacket {
  let ticket = random.below(WEIGHT_SUM);
  for (const [kind, weight, generate] of GENERATORS) {
    ticket -= weight;
    if (ticket < 0) return { kind, bytes: generate(random, world) };
  }
  throw new Error("weights do not add up");
}

const GENERATORS: readonly (readonly [string, number, Generator])[] = [
  ["established", 40, (random, world) => hit(random, pick(random, world.flows), bundle(random, ORDINARY))],
  ["any-chunks", 10, (random, world) => hit(random, pick(random, world.flows), bundle(random, ALL_CHUNKS))],
  ["heartbeat", 5, (random, world) => hit(random, pick(random, world.flows), [heartbeat(random)])],
  ["large", 2, large],
  ["wrong-tag", 5, wrongTag],
  ["reflected-tag", 3, reflected],
  ["init", 4, init],
  ["unknown-flow", 6, unknownFlow],
  ["not-local", 2, notLocal],
  ["fragment", 3, fragment],
  ["icmp", 5, icmp],
  ["other-protocol", 2, otherProtocol],
  ["ip-options", 4, options],
  ["truncated", 5, truncated],
  ["damaged", 12, damaged],
  ["chunk-lengths", 6, chunkLengths],
  ["many-chunks", 2, manyChunks],
  ["padded-frame", 3, paddedFrame],
];
const WEIGHT_SUM = GENERATORS.reduce((sum, [, weight]) => sum + weight, 0);

// ---- chunks

type ChunkMaker = (random: Random) => Uint8Array;

const data: ChunkMaker = (random) =>
  encodeData({ tsn: random.uint32(), flags: random.below(16), data: random.bytes(1 + random.below(300)) });
const heartbeat: ChunkMaker = (random) => encodeHeartbeat(random.bytes(random.below(60)));
const sack: ChunkMaker = (random) => encodeSack(random.uint32());

const ORDINARY: readonly ChunkMaker[] = [
  data,
  data,
  sack,
  heartbeat,
  (random) => encodeHeartbeatAck(random.bytes(random.below(60))),
  (random) => encodeChunk(CHUNK.I_DATA, 3, random.bytes(20)),
  (random) => encodeChunk(CHUNK.FORWARD_TSN, 0, random.bytes(4)),
  (random) => encodeChunk(CHUNK.I_FORWARD_TSN, 0, random.bytes(4)),
  (random) => encodeChunk(CHUNK.RE_CONFIG, 0, random.bytes(16)),
  (random) => encodeChunk(CHUNK.AUTH, 0, random.bytes(24)),
  (random) => encodeChunk(CHUNK.ECNE, 0, random.bytes(4)),
  (random) => encodeChunk(CHUNK.CWR, 0, random.bytes(4)),
  (random) => encodeChunk(CHUNK.NR_SACK, 0, random.bytes(16)),
  (random) => encodeChunk(CHUNK.PAD, 0, new Uint8Array(random.below(20))),
  (random) => encodeChunk(pick(random, [0x3f, 0x7f, 0xbf, 0xff]), 0, random.bytes(random.below(9))),
];

const ALL_CHUNKS: readonly ChunkMaker[] = [
  ...ORDINARY,
  (random) => encodeInit({ initiateTag: random.uint32() }),
  (random) => encodeInitAck({ initiateTag: random.uint32() }),
  (random) => encodeCookieEcho(random.bytes(random.below(120))),
  () => encodeCookieAck(),
  (random) => encodeAbort({ reflected: random.below(2) === 0 }),
  (random) => encodeError([encodeUserInitiatedAbort("x".repeat(random.below(9)))]),
  (random) => encodeShutdown(random.uint32()),
  () => encodeShutdownAck(),
  (random) => encodeShutdownComplete({ reflected: random.below(2) === 0 }),
  (random) => encodeChunk(CHUNK.ASCONF, 0, random.bytes(12)),
  (random) => encodeChunk(CHUNK.ASCONF_ACK, 0, random.bytes(4)),
  (random) => encodeChunk(CHUNK.PKTDROP, 0, random.bytes(16)),
  (random) => encodeChunk(random.below(256), random.below(256), random.bytes(random.below(9))),
];

function bundle(random: Random, makers: readonly ChunkMaker[]): Uint8Array[] {
  // One chunk is the commonest by far.
  const count = random.below(2) === 0 ? 1 : 1 + random.below(5);
  return Array.from({ length: count }, () => pick(random, makers)(random));
}

// ---- packets

function ipExtras(random: Random) {
  return {
    trafficClass: random.below(256),
    hopLimit: pick(random, [0, 1, 2, 3, 63, 64, 64, 64, 128, 255]),
    identification: random.below(65_536),
    dontFragment: random.below(2) === 0,
    flowLabel: random.below(0x100000),
  };
}

function hit(random: Random, flow: GeneratedFlow, chunks: readonly Uint8Array[], tag = flow.tag): Uint8Array {
  const packet = sctpPacket(flow.key, tag, chunks, ipExtras(random));
  // Some checksums are wrong, and must stay wrong in the same way; some are zero, as a local stack leaves
  // them.
  const checksum = headerSize(packet) + 8;
  if (random.below(8) === 0) packet.set(random.bytes(4), checksum);
  else if (random.below(16) === 0) packet.fill(0, checksum, checksum + 4);
  return packet;
}

function headerSize(packet: Uint8Array): number {
  return (packet[0] as number) >>> 4 === 4 ? ((packet[0] as number) & 0x0f) * 4 : 40;
}

function large(random: Random, world: PacketWorld): Uint8Array {
  const size = pick(random, [1_400, 1_460, 1_472, 2_000]);
  return hit(random, pick(random, world.flows), [encodeData({ tsn: 1, data: random.bytes(size) })]);
}

function wrongTag(random: Random, world: PacketWorld): Uint8Array {
  const flow = pick(random, world.flows);
  const tag = pick(random, [0, flow.tag ^ 1, flow.tag ^ 0x8000_0000, random.uint32()]);
  return hit(random, flow, bundle(random, ORDINARY), tag >>> 0);
}

function reflected(random: Random, world: PacketWorld): Uint8Array {
  const flow = pick(random, world.flows);
  const opposite = world.flows.find(
    (each) => each.session === flow.session && each.direction !== flow.direction,
  );
  const chunk =
    random.below(2) === 0 ? encodeAbort({ reflected: true }) : encodeShutdownComplete({ reflected: true });
  const chunks = random.below(2) === 0 ? [chunk] : [sack(random), chunk];
  return hit(random, flow, chunks, (opposite ?? flow).tag);
}

function init(random: Random, world: PacketWorld): Uint8Array {
  const flow = pick(random, world.flows);
  const ends = random.below(2) === 0 ? flow.key : { ...flow.key, sourcePort: 1 + random.below(65_535) };
  return sctpPacket(ends, 0, [encodeInit({ initiateTag: random.uint32() || 1 })], ipExtras(random));
}

function unknownFlow(random: Random, world: PacketWorld): Uint8Array {
  const { key, tag } = pick(random, world.flows);
  const ends: SctpEnds = pick(random, [
    { ...key, sourcePort: 1 + random.below(65_535) },
    { ...key, destinationPort: 1 + random.below(65_535) },
    { ...key, destinationPort: WORLD_SERVICE_PORT, sourcePort: random.below(3) },
  ]);
  return sctpPacket(ends, tag, bundle(random, ALL_CHUNKS), ipExtras(random));
}

function notLocal(random: Random, world: PacketWorld): Uint8Array {
  const { key, tag } = pick(random, world.flows);
  return sctpPacket({ ...key, destination: key.source }, tag, bundle(random, ORDINARY), ipExtras(random));
}

function fragment(random: Random, world: PacketWorld): Uint8Array {
  const flow = pick(random, world.flows);
  const whole = hit(random, flow, bundle(random, ORDINARY));
  const first = random.below(2) === 0;
  if ((whole[0] as number) >>> 4 === 4) {
    write16(whole, 6, first ? 0x2000 : 1 + random.below(0x1fff));
    writeIpv4Checksum(whole);
    return whole;
  }
  const header = new Uint8Array(8);
  header[0] = 132;
  write16(header, 2, first ? 1 : 8 * (1 + random.below(0x1fff)));
  return ipPacket(flow.key, new Uint8Array([...header, ...whole.subarray(40)]), { protocol: 44 });
}

function icmp(random: Random, world: PacketWorld): Uint8Array {
  const flow = pick(random, world.flows);
  const types = flow.key.source.includes(":") ? [1, 2, 3, 4, 128, 129, 135, 136] : [0, 3, 5, 8, 11, 12, 13];
  const inner = hit(random, flow, bundle(random, ORDINARY)).subarray(0, 48);
  const rest = new Uint8Array([...random.bytes(4), ...inner]);
  return icmpPacket(flow.key, pick(random, types), random.below(5), rest.subarray(0, random.below(60)));
}

function otherProtocol(random: Random, world: PacketWorld): Uint8Array {
  const protocol = pick(random, [1, 6, 17, 47, 50, 51, 58, 59, 136]);
  return ipPacket(pick(random, world.flows).key, random.bytes(random.below(60)), { protocol });
}

/** IPv4 options, or IPv6 extension headers that are no fragment's. */
function options(random: Random, world: PacketWorld): Uint8Array {
  const packet = hit(random, pick(random, world.flows), bundle(random, ORDINARY));
  if ((packet[0] as number) >>> 4 === 4) {
    const words = 1 + random.below(10);
    const out = new Uint8Array(packet.length + words * 4).fill(1);
    out.set(packet.subarray(0, 20));
    out.set(packet.subarray(20), 20 + words * 4);
    out[0] = 0x45 + words;
    write16(out, 2, out.length);
    writeIpv4Checksum(out);
    return out;
  }
  const count = 1 + random.below(7);
  const kinds = Array.from({ length: count }, () => pick(random, [0, 43, 60]));
  const headers = kinds.flatMap((_, i) => {
    const extra = random.below(3);
    return [kinds[i + 1] ?? 132, extra, 1, 4 + 8 * extra, ...new Array<number>(4 + 8 * extra).fill(0)];
  });
  const out = new Uint8Array(packet.length + headers.length);
  out.set(packet.subarray(0, 40));
  out.set(headers, 40);
  out.set(packet.subarray(40), 40 + headers.length);
  out[6] = kinds[0] as number;
  write16(out, 4, out.length - 40);
  return out;
}

/** The frame ends early; the IP header says so or does not. */
function truncated(random: Random, world: PacketWorld): Uint8Array {
  const whole = hit(random, pick(random, world.flows), bundle(random, ALL_CHUNKS));
  const header = headerSize(whole);
  const size =
    random.below(3) === 0 ? 1 + random.below(whole.length) : header + random.below(whole.length - header);
  const packet = whole.slice(0, Math.max(size, 14));
  if (random.below(2) === 0 && packet.length >= header) setTotalLength(packet, packet.length);
  return packet;
}

function setTotalLength(packet: Uint8Array, size: number): void {
  if ((packet[0] as number) >>> 4 === 4) {
    write16(packet, 2, size);
    writeIpv4Checksum(packet);
  } else {
    write16(packet, 4, size - 40);
  }
}

/** A few bytes are something else. */
function damaged(random: Random, world: PacketWorld): Uint8Array {
  const packet = hit(random, pick(random, world.flows), bundle(random, ALL_CHUNKS));
  const edits = 1 + random.below(4);
  for (let i = 0; i < edits; i++) {
    // Headers decide more than payload does.
    const at = random.below(Math.min(packet.length, random.below(2) === 0 ? 64 : packet.length));
    packet[at] = pick(random, [0, 1, 0x7f, 0x80, 0xff, random.below(256)]);
  }
  return packet;
}

/** Chunk lengths around every boundary. */
function chunkLengths(random: Random, world: PacketWorld): Uint8Array {
  const packet = hit(random, pick(random, world.flows), bundle(random, ORDINARY));
  const header = headerSize(packet);
  const left = packet.length - header - 12;
  const length = pick(random, [0, 1, 3, 4, 5, left - 4, left - 1, left, left + 1, left + 4, 0xffff]);
  write16(packet, header + 14, Math.max(0, length));
  return packet;
}

function manyChunks(random: Random, world: PacketWorld): Uint8Array {
  const count = pick(random, [10, 62, 63, 64, 65, 66, 100, 127, 128, 129, 192, 193, 300]);
  const same = random.below(4) === 0 ? encodeCookieAck() : encodeChunk(CHUNK.PAD, 0);
  const chunks = Array<Uint8Array>(count).fill(same);
  // What counts may stand behind them all, or be broken there.
  if (random.below(2) === 0) chunks.push(pick(random, ALL_CHUNKS)(random));
  if (random.below(8) === 0) chunks.push(Uint8Array.of(0, 0, 0, random.below(12)));
  return hit(random, pick(random, world.flows), chunks);
}

/** Link-layer padding behind the IP packet. */
function paddedFrame(random: Random, world: PacketWorld): Uint8Array {
  const packet = hit(random, pick(random, world.flows), bundle(random, ORDINARY));
  const frame = new Uint8Array(packet.length + 1 + random.below(20)).fill(pick(random, [0, 0xff, 1]));
  frame.set(packet);
  return frame;
}

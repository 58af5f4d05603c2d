// ICMP and ICMPv6 errors about packets that Holdfast sent (RFC 5508 §4 in spirit, RFC 9260 §10 in what must
// be proven): translated outer and inner to the host whose packet caused them, if the inner packet proves
// that it is of a session.
//
// An address that never proved itself is the client's or endpoint's claim: whoever sits there knows nothing
// of the association, and what its stack or its routers say would, for some stacks, end it (protocol
// unreachable, RFC 9260 §10). Such errors stop here (docs/decisions/0250).
//
// Eight bytes of SCTP carry ports and verification tag; that suffices. An INIT has tag 0: then the initiate
// tag must be there, and fit. Nobody who cannot see the traffic knows either.
import { type Address, currentCandidate, familyOf, isLiving, type SessionRecord } from "@holdfast/model";
import {
  CHUNK,
  checksumChange,
  IpHeader,
  internetChecksum,
  onesSum,
  PROTOCOL,
  portDelta,
  read16,
  read32,
  readChecksum,
  storeChecksum,
  write16,
  writeIpv4Checksum,
} from "@holdfast/sctp";
import { type Core, drop } from "../core.ts";
import type { Punt } from "../fast-path/port.ts";
import { addressAt } from "../packet/input.ts";
import { bytesOf } from "../packet/translate.ts";
import { endpointAddressFor } from "../path-mapping/endpoint-addresses.ts";
import { downDestinations, isVerified } from "../path-mapping/flows.ts";
import type { ServiceEntry } from "../services/registry.ts";
import { sessionsAt } from "../slow-path/sctp/origin.ts";
import { matchDown, matchUp } from "../tracker/match.ts";
import { encodeIcmp } from "./own-errors.ts";
import { handlePlainIcmp, type OpeningFinder, quotesPlain } from "./plain-errors.ts";
import { padded } from "./quotation.ts";

const ICMP_HEADER_SIZE = 8;
/** Ports and tag. */
const PROOF_SIZE = 8;
/** … and, for an INIT, checksum, chunk header and initiate tag. */
const INIT_PROOF_SIZE = 20;
const CHECKSUM_END = 12;
const INITIATE_TAG_OFFSET = 16;
const CHUNK_OFFSET = 12;

const ERRORS_V4: ReadonlySet<number> = new Set([3, 11, 12]);
const ERRORS_V6: ReadonlySet<number> = new Set([1, 2, 3, 4]);

/** The packet inside an error: its header may be cut off behind PROOF_SIZE bytes of SCTP. */
interface Inner {
  readonly bytes: Uint8Array;
  /** Offset of the SCTP header. */
  readonly start: number;
  /** SCTP length as the inner IP header says, however much of it is there. */
  readonly sctpLength: number;
  readonly version: 4 | 6;
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tag: number;
  /** Of an INIT; undefined for other chunks, or when it was cut off. */
  readonly initiateTag: number | undefined;
}

/** Where the error goes, and what its inner packet was before translation. */
interface Origin {
  readonly direction: "up" | "down";
  /** undefined: an INIT that no record knows yet. */
  readonly record: SessionRecord | undefined;
  readonly to: Address;
  readonly source: Address;
  readonly destination: Address;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export function handleIcmp(core: Core, punt: Punt, ip: IpHeader, openingAt: OpeningFinder): undefined {
  const { packet } = punt;
  const start = ip.payloadOffset;
  if (ip.end - start < ICMP_HEADER_SIZE) return drop(core, "malformed", packet);
  // RFC 5508 REQ-3: what is passed on has a checksum of its own, which would bless a message that is broken.
  if (!punt.checksumPartial && !isIcmpChecksumRight(packet, ip)) return drop(core, "bad-checksum", packet);
  const type = packet[start] as number;
  if (!(ip.version === 4 ? ERRORS_V4 : ERRORS_V6).has(type)) return drop(core, "icmp-unsupported", packet);
  const quoted = packet.subarray(start + ICMP_HEADER_SIZE, ip.end);
  if (quotesPlain(quoted, ip.version)) return handlePlainIcmp(core, punt, ip, quoted, openingAt);
  const inner = readInner(quoted, ip.version);
  const vip = addressAt(packet, ip.destinationOffset, ip.addressSize);
  // What we send has a VIP as its source, and the error comes back to it.
  if (inner === undefined || inner.source !== vip) return drop(core, "icmp-unrelated", packet);
  const origin = originOf(core, inner);
  if (origin === undefined) return drop(core, "icmp-unrelated", packet);
  if (!isAboutProven(core, origin, inner, isTooBig(ip.version, type, packet[start + 1] as number)))
    return drop(core, "icmp-unproven", packet);
  if (!core.icmpTranslatedRate.take(core.clock.nowMs(), origin.to)) return drop(core, "icmp-rate", packet);
  const error = encodeIcmp({
    version: ip.version,
    type,
    code: packet[start + 1] as number,
    word: read32(packet, start + 4),
    // The VIP, whoever reported: a router's address, or the other side's own, is nothing for this side to
    // see.
    source: bytesOf(vip),
    destination: bytesOf(origin.to),
    inner: rewriteInner(inner, origin),
  });
  if (core.fastPath.send(error)) core.counters.count("icmp-translated");
  else drop(core, "send-failed", error);
}

/** RFC 792; RFC 4443 §2.3: ICMPv6 sums a pseudo header, too. */
function isIcmpChecksumRight(packet: Uint8Array, ip: IpHeader): boolean {
  const { payloadOffset, end, sourceOffset, addressSize, protocol } = ip;
  const addresses = onesSum(packet, sourceOffset, sourceOffset + 2 * addressSize);
  const pseudo = ip.version === 4 ? 0 : addresses + protocol + (end - payloadOffset);
  return internetChecksum(packet, payloadOffset, end, pseudo) === 0;
}

/**
 * undefined: not a whole IP header with the ports and tag of an SCTP packet behind it, or not its first
 * fragment.
 */
function readInner(quoted: Uint8Array, version: 4 | 6): Inner | undefined {
  const ip = new IpHeader();
  // The quoted packet is cut off; its header says how long it was.
  const bytes = padded(quoted, version);
  if (bytes === undefined || ip.read(bytes) !== undefined || ip.version !== version) return undefined;
  const start = ip.payloadOffset;
  if (ip.protocol !== PROTOCOL.SCTP || ip.fragmentOffset !== 0) return undefined;
  if (quoted.length < start + PROOF_SIZE) return undefined;
  const isInit = quoted.length >= start + INIT_PROOF_SIZE && quoted[start + CHUNK_OFFSET] === CHUNK.INIT;
  return {
    bytes: quoted,
    start,
    sctpLength: ip.end - start,
    version,
    source: addressAt(quoted, ip.sourceOffset, ip.addressSize),
    destination: addressAt(quoted, ip.destinationOffset, ip.addressSize),
    sourcePort: read16(quoted, start),
    destinationPort: read16(quoted, start + 2),
    tag: read32(quoted, start + 4),
    initiateTag: isInit ? read32(quoted, start + INITIATE_TAG_OFFSET) : undefined,
  };
}

/** RFC 792 code 4, RFC 4443 type 2: about the way, whoever lives at its end. */
function isTooBig(version: 4 | 6, type: number, code: number): boolean {
  return version === 4 ? type === 3 && code === 4 : type === 2;
}

/**
 * Whether the address that the packet went to has shown that the association's end lives there. A client's
 * by a tag-valid packet; an endpoint's by being configured, or by a packet from it. Packets of full size go
 * to a client's unproven address never, to an endpoint's sometimes: the word on their size counts.
 */
function isAboutProven(core: Core, origin: Origin, inner: Inner, tooBig: boolean): boolean {
  const { direction, record } = origin;
  if (record === undefined) return true;
  if (direction === "down") return isVerified(record, inner.destination);
  const configured = core.registry.endpointAddress(inner.destination, inner.destinationPort);
  if (tooBig || configured === inner.destination) return true;
  // The way back of the packet that the error quotes.
  const heard = core.fastPath.counters({
    protocol: PROTOCOL.SCTP,
    source: inner.destination,
    destination: inner.source,
    sourcePort: inner.destinationPort,
    destinationPort: inner.sourcePort,
  });
  return heard !== undefined && heard.packets > 0;
}

function originOf(core: Core, inner: Inner): Origin | undefined {
  return originOfUp(core, inner) ?? originOfDown(core, inner);
}

/** A packet from a client to its endpoint: the client is told. */
function originOfUp(core: Core, inner: Inner): Origin | undefined {
  const { destination, destinationPort, source, sourcePort } = inner;
  for (const { record } of sessionsAt(core, destination, destinationPort, source, sourcePort)) {
    const entry = core.registry.get(record.serviceId);
    const vip = entry?.vipIndex.get(inner.source);
    if (entry === undefined || vip === undefined || !isLiving(record)) continue;
    const generation = provenGeneration(record, inner, "up");
    if (generation === undefined) continue;
    const local = core.sessions.get(record.id)?.paths;
    const to = downDestinations(record, generation, vip, entry.service.vips, local)?.reply;
    if (to === undefined || record.clients.get(to) !== true) continue;
    return toClient(entry, inner, to, record.clientPort, record);
  }
  if (inner.tag !== 0 || inner.initiateTag === undefined) return undefined;
  const embryo = core.nursery.byAnswer(inner.initiateTag, inner.sourcePort);
  const isItsEndpoint =
    embryo?.endpoint.port === destinationPort &&
    core.registry.addressesOf(embryo.endpoint).includes(destination);
  if (embryo === undefined || !isItsEndpoint) return undefined;
  core.health.unanswered(embryo.endpoint);
  if (familyOf(embryo.lastSource) !== inner.version) return undefined;
  return toClient(embryo.entry, inner, embryo.lastSource, embryo.clientPort, undefined);
}

function toClient(
  entry: ServiceEntry,
  inner: Inner,
  client: Address,
  clientPort: number,
  record: SessionRecord | undefined,
): Origin {
  return {
    direction: "up",
    record,
    to: client,
    source: client,
    destination: inner.source,
    sourcePort: clientPort,
    destinationPort: entry.service.port,
  };
}

/** A packet from an endpoint to its client: the endpoint is told. */
function originOfDown(core: Core, inner: Inner): Origin | undefined {
  const entry = core.registry.byVip(PROTOCOL.SCTP, inner.source, inner.sourcePort);
  if (entry === undefined || inner.tag === 0) return undefined;
  for (const record of core.table.byClient(entry.service.id, inner.destination, inner.destinationPort)) {
    if (!isLiving(record) || provenGeneration(record, inner, "down") === undefined) continue;
    const candidate = currentCandidate(record) ?? firstCandidate(record);
    if (candidate === undefined) continue;
    const vip = entry.vipIndex.get(inner.source);
    const to =
      vip === undefined
        ? undefined
        : endpointAddressFor(candidate, entry, vip, core.sessions.get(record.id)?.paths);
    if (to === undefined) continue;
    return {
      direction: "down",
      record,
      to,
      source: to,
      destination: inner.source,
      sourcePort: candidate.endpointPort,
      destinationPort: candidate.natPort,
    };
  }
  return undefined;
}

/** The generation by whose tag the inner packet travelled; a reflected tag (ABORT) proves nothing here. */
function provenGeneration(record: SessionRecord, inner: Inner, direction: "up" | "down") {
  if (direction === "down") {
    for (const candidate of allCandidates(record)) {
      const match = matchDown(record, inner.tag, false, candidate);
      if (match !== undefined && match.role !== "superseded") return match.generation;
    }
    return undefined;
  }
  if (inner.tag === 0) {
    return inner.initiateTag === undefined ? undefined : record.generations.get(inner.initiateTag);
  }
  const match = matchUp(record, inner.tag, false);
  return match === undefined || match.role === "superseded" ? undefined : match.generation;
}

function allCandidates(record: SessionRecord) {
  const current = currentCandidate(record);
  return [
    ...(current === undefined ? [] : [current]),
    ...[...record.generations.values()].flatMap((generation) => [...generation.candidates.values()]),
  ];
}

function firstCandidate(record: SessionRecord) {
  return allCandidates(record)[0];
}

/**
 * The inner packet as its sender sent it: addresses and ports back, header checksum, CRC32c by the ports'
 * difference.
 */
function rewriteInner(inner: Inner, origin: Origin): Uint8Array {
  const bytes = inner.bytes.slice();
  const { start } = inner;
  const source = bytesOf(origin.source);
  const sourceOffset = inner.version === 4 ? 12 : 8;
  bytes.set(source, sourceOffset);
  bytes.set(bytesOf(origin.destination), sourceOffset + source.length);
  if (inner.version === 4) writeIpv4Checksum(bytes);
  const delta = portDelta(inner.sourcePort, inner.destinationPort, origin.sourcePort, origin.destinationPort);
  write16(bytes, start, origin.sourcePort);
  write16(bytes, start + 2, origin.destinationPort);
  // The difference depends on the length alone, so it is right although the rest of the packet is missing.
  if (bytes.length >= start + CHECKSUM_END) {
    storeChecksum(bytes, start, readChecksum(bytes, start) ^ checksumChange(delta, inner.sctpLength));
  }
  return bytes;
}

// The reference translator: what the BPF program does, in TypeScript. It is the userspace fast path's engine,
// and the oracle that the BPF program is compared with, byte by byte.
//
// `decide` looks and changes nothing; `apply` rewrites. The order of the tests in `decide` is part of the
// contract: docs/decisions/0010 lists it.
import {
  applyDelta,
  COMMON_HEADER_SIZE,
  checksumChange,
  IPV4_CHECKSUM_OFFSET,
  IPV4_DESTINATION_OFFSET,
  IPV4_HEADER_SIZE,
  IPV4_PROTOCOL_OFFSET,
  IPV4_SOURCE_OFFSET,
  IPV4_TTL_OFFSET,
  IPV6_DESTINATION_OFFSET,
  IPV6_HEADER_SIZE,
  IPV6_HOP_LIMIT_OFFSET,
  IPV6_NEXT_HEADER_OFFSET,
  IPV6_SOURCE_OFFSET,
  IpHeader,
  PROTOCOL,
  read16,
  read32,
  readChecksum,
  storeChecksum,
  VERIFICATION_TAG_OFFSET,
  write16,
} from "@holdfast/sctp";
import type { PuntReason, ServedPort } from "../port.ts";
import { ChunkSummary } from "./chunk-summary.ts";
import type { Egress, EgressFinder } from "./egress.ts";
import { FLOW_KEY_SIZE_MAX, type FlowEntry } from "./flow-entry.ts";
import { PlainTranslator } from "./plain/translator.ts";
import { type FlowTables, isAllowed, type LocalEntry } from "./tables.ts";
import type { DropReason, PlainVerdict, Verdict } from "./verdict.ts";

export interface TranslatorOptions {
  /** Default: everything goes, at any size. */
  readonly egress?: EgressFinder;
}

const PASS: Verdict = { action: "pass" };
const ANSWER_ECHO: Verdict = { action: "answer", what: "echo" };
const ANSWER_NEIGHBOUR: Verdict = { action: "answer", what: "neighbour" };
const NO_LIMIT: Egress = { mtu: 65_575 };
/**
 * TTL falls by one in the high byte of its word: RFC 1624's ~m + m' for any m is -0x0100 in one's complement.
 */
const TTL_DELTA = 0xffff - 0x0100;

export class Translator {
  /**
   * Size of the IP packet that was last decided about, as its header says; link-layer padding is not part of
   * it.
   */
  packetSize = 0;
  readonly #tables: FlowTables;
  readonly #egress: EgressFinder;
  readonly #plain: PlainTranslator;
  readonly #header = new IpHeader();
  readonly #chunks = new ChunkSummary();
  readonly #key = new Uint8Array(FLOW_KEY_SIZE_MAX);

  constructor(tables: FlowTables, options: TranslatorOptions = {}) {
    this.#tables = tables;
    this.#egress = options.egress ?? (() => NO_LIMIT);
    this.#plain = new PlainTranslator(tables, this.#egress);
  }

  /** Decides about the IP packet at the start of bytes[0, size); link-layer padding may follow it. */
  decide(bytes: Uint8Array, size: number = bytes.length): Verdict {
    this.packetSize = size;
    const local = this.#localEntry(bytes, size);
    if (local === undefined) return PASS;
    const header = this.#header;
    const refusal = header.read(bytes, size);
    if (refusal !== undefined) return drop(refusal);
    this.packetSize = header.end;
    if (header.fragment) return punt("fragment", 0);
    if (header.protocol === PROTOCOL.SCTP) return this.#decideSctp(bytes, local);
    if (header.protocol === (header.version === 4 ? PROTOCOL.ICMP : PROTOCOL.ICMPV6)) {
      return this.#withProof(decideIcmp(bytes, header, local), bytes);
    }
    if (isPlain(header.protocol)) return this.#plain.decide(bytes, header, local);
    return drop("not-sctp");
  }

  /** Learns from and rewrites the packet that `decide` saw last. Returns whether it proved its source. */
  applyPlain(verdict: PlainVerdict, bytes: Uint8Array, checksumPartial: boolean, nowMs: number): boolean {
    return this.#plain.apply(verdict, bytes, this.#header, checksumPartial, nowMs);
  }

  /**
   * Rewrites the IP packet at the start of `bytes` as a "forward" verdict says. The SCTP checksum is changed
   * by the difference of the ports, so that a corrupt one stays corrupt; with `checksumPartial` it holds
   * nothing yet and is left alone.
   */
  apply(verdict: Verdict & { action: "forward" }, bytes: Uint8Array, checksumPartial = false): void {
    const { entry } = verdict;
    const header = this.#header;
    header.read(bytes);
    if (header.version === 4) {
      const delta = (verdict.reply ? entry.replyChecksumDelta : entry.checksumDelta) + TTL_DELTA;
      write16(bytes, IPV4_CHECKSUM_OFFSET, applyDelta(read16(bytes, IPV4_CHECKSUM_OFFSET), delta));
      bytes[IPV4_TTL_OFFSET] = header.hopLimit - 1;
      bytes.set(entry.newSource, IPV4_SOURCE_OFFSET);
      bytes.set(verdict.destination, IPV4_DESTINATION_OFFSET);
    } else {
      bytes[IPV6_HOP_LIMIT_OFFSET] = header.hopLimit - 1;
      bytes.set(entry.newSource, IPV6_SOURCE_OFFSET);
      bytes.set(verdict.destination, IPV6_DESTINATION_OFFSET);
    }
    if (entry.portDelta === 0) return;
    const start = header.payloadOffset;
    write16(bytes, start, entry.flow.newSourcePort);
    write16(bytes, start + 2, entry.flow.newDestinationPort);
    if (checksumPartial) return;
    const change = checksumChange(entry.portDelta, header.end - start);
    storeChecksum(bytes, start, readChecksum(bytes, start) ^ change);
  }

  /** The destination's entry; undefined too when there is no destination to be read. */
  #localEntry(bytes: Uint8Array, size: number): LocalEntry | undefined {
    const version = (bytes[0] ?? 0) >>> 4;
    if (version === 4 && size >= IPV4_HEADER_SIZE) {
      return this.#tables.local.get(bytes, IPV4_DESTINATION_OFFSET, 4);
    }
    if (version === 6 && size >= IPV6_HEADER_SIZE) {
      return this.#tables.local.get(bytes, IPV6_DESTINATION_OFFSET, 16);
    }
    return undefined;
  }

  #decideSctp(bytes: Uint8Array, local: LocalEntry): Verdict {
    const header = this.#header;
    const start = header.payloadOffset;
    if (header.end - start < COMMON_HEADER_SIZE) return drop("packet-too-short");
    if (read16(bytes, start) === 0 || read16(bytes, start + 2) === 0) return drop("port-zero");
    const refusal = this.#chunks.read(bytes, start + COMMON_HEADER_SIZE, header.end);
    if (refusal !== undefined) return drop(refusal);
    const entry = this.#flowOf(bytes, start);
    return entry === undefined ? this.#decideMiss(bytes, start, local) : this.#decideHit(bytes, start, entry);
  }

  #flowOf(bytes: Uint8Array, start: number): FlowEntry | undefined {
    const { sourceOffset, addressSize } = this.#header;
    // Source and destination stand side by side in both headers.
    const addressesSize = 2 * addressSize;
    const key = this.#key;
    for (let i = 0; i < addressesSize; i++) key[i] = bytes[sourceOffset + i] as number;
    for (let i = 0; i < 4; i++) key[addressesSize + i] = bytes[start + i] as number;
    key[addressesSize + 4] = PROTOCOL.SCTP;
    return this.#tables.flows.get(key, 0, addressesSize + 5);
  }

  #decideMiss(bytes: Uint8Array, start: number, local: LocalEntry): Verdict {
    const reason = this.#chunks.punt;
    const served = local.ports.get(read16(bytes, start + 2));
    if (reason === "init" && served !== undefined && !this.#mayBegin(bytes, start, served))
      return drop("source-not-allowed");
    // An INIT-ACK may come from another of the endpoint's addresses than the INIT went to (RFC 9260 §5.1.3
    // has the client take them from the list), and this is the first that is heard of it.
    const admitted =
      reason === "initAck" || served !== undefined || this.#tables.endpointPorts.has(read16(bytes, start));
    return admitted ? punt(reason ?? "miss", 0) : drop("port-not-served");
  }

  /** What an endpoint begins is the slow path's business: it is no client. */
  #mayBegin(bytes: Uint8Array, start: number, served: ServedPort): boolean {
    const { sourceOffset, addressSize } = this.#header;
    const source = bytes.subarray(sourceOffset, sourceOffset + addressSize);
    if (isAllowed(served, source)) return true;
    return this.#tables.isEndpoint(bytes, sourceOffset, addressSize, read16(bytes, start), PROTOCOL.SCTP);
  }

  /**
   * An ICMP error that quotes the tag of an association in force: its way back is the flow of the other
   * direction.
   */
  #withProof(verdict: Verdict, bytes: Uint8Array): Verdict {
    if (verdict.action !== "punt") return verdict;
    const { version, payloadOffset, end } = this.#header;
    const inner = payloadOffset + ICMP_HEADER_SIZE;
    const size = version === 4 ? 4 : 16;
    const addresses = inner + (version === 4 ? IPV4_SOURCE_OFFSET : IPV6_SOURCE_OFFSET);
    const start = inner + (version === 4 ? IPV4_HEADER_SIZE : IPV6_HEADER_SIZE);
    if (start + QUOTED_SIZE > end) return verdict;
    const protocol = bytes[
      inner + (version === 4 ? IPV4_PROTOCOL_OFFSET : IPV6_NEXT_HEADER_OFFSET)
    ] as number;
    const isBare = version === 4 ? bytes[inner] === 0x45 : (bytes[inner] as number) >>> 4 === 6;
    if (!isBare || (protocol !== PROTOCOL.SCTP && !isPlain(protocol))) return verdict;
    const key = this.#key;
    for (let i = 0; i < size; i++) {
      key[i] = bytes[addresses + size + i] as number;
      key[size + i] = bytes[addresses + i] as number;
    }
    for (let i = 0; i < 2; i++) {
      key[2 * size + i] = bytes[start + 2 + i] as number;
      key[2 * size + 2 + i] = bytes[start + i] as number;
    }
    key[2 * size + 4] = protocol;
    if (isPlain(protocol))
      return this.#plain.isQuoted(bytes, this.#header, start, key, 2 * size + 5)
        ? { ...verdict, proven: true }
        : verdict;
    const entry = this.#tables.flows.get(key, 0, 2 * size + 5);
    const peerTag = entry?.flow.peerTag ?? 0;
    const isProven = entry !== undefined && peerTag === read16(bytes, start + VERIFICATION_TAG_OFFSET + 2);
    return isProven ? { ...verdict, proven: true } : verdict;
  }

  #decideHit(bytes: Uint8Array, start: number, entry: FlowEntry): Verdict {
    const { flow } = entry;
    const reason = this.#chunks.punt;
    const hasTag = read32(bytes, start + VERIFICATION_TAG_OFFSET) === flow.tag >>> 0;
    if (reason !== undefined) return { ...punt(reason, flow.session), ...(hasTag && { proven: true }) };
    if (!hasTag) {
      return flow.pending ? punt("wrongTag", flow.session) : drop("wrong-tag");
    }
    const toPath = flow.heartbeatOnly ? this.#chunks.heartbeatOnly : this.#chunks.path;
    const reply = flow.replyDestination !== undefined && !toPath;
    // The address last heard is verified by having been heard.
    if (flow.heartbeatOnly && !reply)
      return this.#chunks.heartbeatOnly ? punt("probe", flow.session) : drop("unverified-destination");
    const header = this.#header;
    if (header.hopLimit <= 1) return { ...punt("ttlExpired", flow.session), proven: true };
    const destination = reply ? entry.replyDestination : entry.newDestination;
    const egress = this.#egress(destination, entry);
    if (egress === undefined) return { ...punt("noNextHop", flow.session), proven: true };
    if (header.end > egress.mtu) return { ...punt("tooBig", flow.session), mtu: egress.mtu, proven: true };
    return {
      action: "forward",
      entry,
      reply,
      destination,
      learn: entry.learn,
      ...(egress.device !== undefined && { device: egress.device }),
    };
  }
}

const ICMP_HEADER_SIZE = 8;
/** Ports and tag. */
const QUOTED_SIZE = 8;

// RFC 792 and RFC 4443 types.
const ECHO_REQUEST = 8;
const DESTINATION_UNREACHABLE = 3;
const TIME_EXCEEDED = 11;
const PARAMETER_PROBLEM = 12;
const V6_ECHO_REQUEST = 128;
/** 1 unreachable, 2 packet too big, 3 time exceeded, 4 parameter problem. */
const V6_ERROR_MAX = 4;
const V6_NEIGHBOUR_SOLICITATION = 135;

function decideIcmp(bytes: Uint8Array, header: IpHeader, { local }: LocalEntry): Verdict {
  const start = header.payloadOffset;
  if (header.end - start < 8) return drop("packet-too-short");
  const type = bytes[start] as number;
  if (header.version === 4) {
    if (type === ECHO_REQUEST) return local.owned ? ANSWER_ECHO : drop("not-owned");
    const error = type === DESTINATION_UNREACHABLE || type === TIME_EXCEEDED || type === PARAMETER_PROBLEM;
    return error ? punt("icmp", 0) : drop("icmp-other");
  }
  if (type === V6_ECHO_REQUEST) return local.owned ? ANSWER_ECHO : drop("not-owned");
  if (type === V6_NEIGHBOUR_SOLICITATION) return local.owned ? ANSWER_NEIGHBOUR : drop("not-owned");
  return type >= 1 && type <= V6_ERROR_MAX ? punt("icmp", 0) : drop("icmp-other");
}

function isPlain(protocol: number): boolean {
  return protocol === PROTOCOL.TCP || protocol === PROTOCOL.UDP;
}

function drop(reason: DropReason): Verdict {
  return { action: "drop", reason };
}

function punt(reason: PuntReason, session: number): Verdict & { action: "punt" } {
  return { action: "punt", reason, session };
}

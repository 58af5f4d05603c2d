// An INIT from the node's own address, never from a VIP, and never more: an endpoint that answers with
// INIT-ACK has made no state (RFC 9260 §5.1), and its application sees nothing.
import { type Address, addressFromBytes, type Random } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  encodeInit,
  encodePacket,
  isMalformed,
  parseInit,
  parsePacket,
  read16,
  read32,
  T_BIT,
  verifyChecksum,
} from "@holdfast/sctp";
import {
  ANSWERED,
  type ProbeAttempt,
  type ProbeChannel,
  type ProbeOutcome,
  type ProbeQuestion,
  UNANSWERED,
} from "./probe.ts";

interface Waiting {
  readonly address: Address;
  readonly port: number;
  readonly sourcePort: number;
  readonly tag: number;
  readonly tell: (outcome: ProbeOutcome) => void;
}

/** Ports of probes: outside the usual ephemeral range of Linux (32,768 … 60,999). */
const PROBE_PORT_FIRST = 61_000;
const PROBE_PORT_COUNT = 4_000;
const INITIATE_TAG_OFFSET = 16;

/** Called for every INIT-ACK to a probe: the addresses that it lists. */
export type Listed = (address: Address, port: number, addresses: readonly Address[]) => void;

export class SctpProbes {
  readonly #channel: ProbeChannel;
  readonly #random: Random;
  readonly #byTag = new Map<number, Waiting>();
  readonly #listed: Listed | undefined;
  #nextPort: number;

  constructor(channel: ProbeChannel, random: Random, listed?: Listed) {
    this.#listed = listed;
    this.#channel = channel;
    this.#random = random;
    this.#nextPort = random.below(PROBE_PORT_COUNT);
    channel.onPacket((packet) => this.#received(packet));
    channel.onUnreachable((to, quoted, refused) => this.#unreachable(to, quoted, refused));
  }

  /** The port that one endpoint's probes come from. */
  takePort(): number {
    return PROBE_PORT_FIRST + (this.#nextPort++ % PROBE_PORT_COUNT);
  }

  ask(
    { address, port }: Pick<ProbeQuestion, "address" | "port">,
    sourcePort: number,
    tell: (outcome: ProbeOutcome) => void,
  ): ProbeAttempt {
    let tag = this.#random.uint32();
    while (tag === 0 || this.#byTag.has(tag)) tag = this.#random.uint32();
    this.#byTag.set(tag, { address, port, sourcePort, tag, tell });
    const packet = encodePacket({
      sourcePort,
      destinationPort: port,
      verificationTag: 0,
      chunks: [encodeInit({ initiateTag: tag, initialTsn: tag })],
    });
    if (!this.#channel.send(address, packet)) this.#finish(tag)?.tell({ kind: "missed", what: "not sent" });
    return { cancel: () => this.#byTag.delete(tag), atTimeout: UNANSWERED };
  }

  #finish(tag: number): Waiting | undefined {
    const waiting = this.#byTag.get(tag);
    this.#byTag.delete(tag);
    return waiting;
  }

  /** INIT-ACK or ABORT with the tag of a probe under way; everything else is not ours, or forged. */
  #received(bytes: Uint8Array): void {
    const packet = parsePacket(bytes);
    if (isMalformed(packet)) return;
    const waiting = this.#byTag.get(packet.verificationTag);
    // An endpoint may answer from another of its addresses; tag and ports say that it is the one.
    if (
      waiting === undefined ||
      packet.sourcePort !== waiting.port ||
      packet.destinationPort !== waiting.sourcePort ||
      !verifyChecksum(bytes, 0, bytes.length)
    ) {
      return;
    }
    const first = packet.chunks[0] as Chunk;
    if (first.type === CHUNK.INIT_ACK) {
      const init = parseInit(first);
      if (!isMalformed(init)) {
        const addresses = init.addresses.map((each) => addressFromBytes(each));
        this.#listed?.(waiting.address, waiting.port, addresses);
      }
      this.#finish(waiting.tag)?.tell(ANSWERED);
    } else if (first.type === CHUNK.ABORT && (first.flags & T_BIT) === 0)
      this.#finish(waiting.tag)?.tell({ kind: "down", reason: "ABORT to a probe", refused: false });
  }

  /**
   * Only with proof that it is about a probe under way: its ports and, since an INIT has tag 0, its initiate
   * tag.
   */
  #unreachable(to: Address, quoted: Uint8Array, refused: boolean): void {
    // Eight quoted bytes prove too little to act at once; the probe runs into its time-out instead.
    if (quoted.length < INITIATE_TAG_OFFSET + 4) return;
    const waiting = this.#byTag.get(read32(quoted, INITIATE_TAG_OFFSET));
    if (
      waiting === undefined ||
      waiting.address !== to ||
      read16(quoted, 0) !== waiting.sourcePort ||
      read16(quoted, 2) !== waiting.port
    ) {
      return;
    }
    const reason = refused ? "refused (ICMP)" : "unreachable (ICMP)";
    this.#finish(waiting.tag)?.tell({ kind: "down", reason, refused });
  }
}

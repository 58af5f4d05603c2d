// An SCTP client that does what a test says, packet by packet, and nothing else unless it is told to answer.
import type { Address } from "@holdfast/model";
import { addressBytes, familyOf } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  chunkValue,
  encodeAddress,
  encodeChunk,
  encodeCookieEcho,
  encodeData,
  encodeInit,
  encodeSack,
  encodeShutdownAck,
  encodeShutdownComplete,
  findChunk,
  type Init,
  type InitFields,
  isMalformed,
  type Packet,
  parseInit,
  parsePacket,
  read32,
} from "@holdfast/sctp";
import { type IpExtras, sctpPacket } from "../packets/build.ts";
import { until } from "../wait.ts";
import type { HeardPacket, RawHost } from "./raw-host.ts";

export interface ScriptedOptions {
  readonly port: number;
  readonly servicePort: number;
  /** The client's addresses; the first of the destination's family is the default source. */
  readonly addresses: readonly Address[];
  /** The service's; the first is the default destination. */
  readonly vips: readonly Address[];
  /** Tag of the first INIT. */
  readonly tag?: number;
}

/** Where a packet goes, when not the default way. */
export interface Way {
  readonly from?: Address;
  readonly to?: Address;
  readonly tag?: number;
  /** Source port. */
  readonly port?: number;
  /** Force the cable. */
  readonly network?: string;
  readonly ip?: IpExtras;
}

export interface Answer {
  readonly heard: HeardPacket;
  readonly packet: Packet;
}

const ANSWER_PERIOD_MS = 2;
/** A machine that has other work lets members wait for seconds. */
const ANSWER_LIMIT_MS = 15_000;
const RETRANSMISSION_MS = 1_000;
/** RFC 9260 §16: Max.Init.Retransmits. */
const SEND_COUNT_MAX = 8;

export class ScriptedClient {
  readonly raw: RawHost;
  readonly options: ScriptedOptions;
  /** Initiate tag of this side. */
  tag: number;
  /** … and of the endpoint, after an INIT-ACK. */
  peerTag = 0;
  /** TSN of the next DATA. */
  tsn: number;
  /** Highest TSN heard in order. */
  peerTsn = 0;
  #timer: NodeJS.Timeout | undefined;
  #answered = 0;

  constructor(raw: RawHost, options: ScriptedOptions) {
    this.raw = raw;
    this.options = options;
    this.tag = options.tag ?? 0x1000_0000 + options.port;
    this.tsn = this.tag;
    raw.host.onEnd(() => this.silence());
  }

  /** Puts the chunks into one packet and sends it. Returns the packet. */
  send(chunks: readonly Uint8Array[], way: Way = {}): Uint8Array {
    const { options } = this;
    const destination = way.to ?? (options.vips[0] as Address);
    const packet = sctpPacket(
      {
        source: way.from ?? this.#sourceFor(destination),
        destination,
        sourcePort: way.port ?? options.port,
        destinationPort: options.servicePort,
      },
      way.tag ?? this.peerTag,
      chunks,
      way.ip,
    );
    this.raw.send(packet, way.network);
    return packet;
  }

  /** The first address of the destination's family. */
  #sourceFor(destination: Address): Address {
    const { addresses } = this.options;
    const family = familyOf(destination);
    return addresses.find((address) => familyOf(address) === family) ?? (addresses[0] as Address);
  }

  /** An INIT; lists all addresses unless `fields` has parameters of its own. */
  sendInit(fields: Partial<InitFields> = {}, way: Way = {}): void {
    const parameters = this.options.addresses.map((address) => encodeAddress(addressBytes(address)));
    this.send([encodeInit({ initiateTag: this.tag, initialTsn: this.tsn, parameters, ...fields })], {
      ...way,
      tag: 0,
    });
  }

  /** Packets for this client's port with the tag, that carry a chunk of `type`, since the start. */
  answers(type: number, tag = this.tag): Answer[] {
    this.raw.receive();
    return this.raw.heard.flatMap((heard) => {
      if (heard.outgoing || heard.sctp === undefined) return [];
      if (heard.sctp.destinationPort !== this.options.port || heard.sctp.verificationTag !== tag) return [];
      const packet = parsePacket(heard.sctp.bytes);
      return !isMalformed(packet) && findChunk(packet, type) !== undefined ? [{ heard, packet }] : [];
    });
  }

  /** Waits for the `count`th packet with a chunk of `type`. */
  async answer(
    type: number,
    options: { count?: number; tag?: number; limitMs?: number } = {},
  ): Promise<Answer> {
    const count = options.count ?? 1;
    return until(
      `packet ${count} with chunk ${type} at port ${this.options.port}`,
      () => this.answers(type, options.tag)[count - 1],
      options.limitMs ?? ANSWER_LIMIT_MS,
      ANSWER_PERIOD_MS,
    );
  }

  /**
   * INIT, and the INIT-ACK that came back; its tag is the peer's from now on. T1-init: sent again after a
   * second.
   */
  async init(fields: Partial<InitFields> = {}, way: Way = {}): Promise<Init> {
    return this.take(await this.#untilAnswered(CHUNK.INIT_ACK, () => this.sendInit(fields, way)));
  }

  /** Takes an INIT-ACK as the one to go on with. */
  take(answer: Answer): Init {
    const init = parseInit(findChunk(answer.packet, CHUNK.INIT_ACK) as Chunk);
    if (isMalformed(init)) throw new Error(`malformed INIT-ACK: ${init.malformed}`);
    this.peerTag = init.initiateTag;
    this.peerTsn = (init.initialTsn - 1) >>> 0;
    return init;
  }

  /** COOKIE-ECHO, and waits for the COOKIE-ACK. T1-cookie: sent again after a second. */
  async echo(init: Init, way: Way = {}): Promise<Answer> {
    if (init.stateCookie === undefined) throw new Error("the INIT-ACK has no cookie");
    const echo = encodeCookieEcho(init.stateCookie);
    return this.#untilAnswered(CHUNK.COOKIE_ACK, () => this.send([echo], { tag: init.initiateTag, ...way }));
  }

  /** RFC 9260 §5.1, T1: sends, and sends again, until one more chunk of `type` has come. */
  async #untilAnswered(type: number, send: () => void): Promise<Answer> {
    const count = this.answers(type).length + 1;
    for (let attempt = 1; ; attempt++) {
      send();
      try {
        return await this.answer(type, { count, limitMs: RETRANSMISSION_MS });
      } catch (error) {
        if (attempt === SEND_COUNT_MAX) throw error;
      }
    }
  }

  /** The whole handshake. */
  async establish(fields: Partial<InitFields> = {}, way: Way = {}): Promise<Init> {
    const init = await this.init(fields, way);
    await this.echo(init, way);
    return init;
  }

  sendData(data: Uint8Array, way: Way = {}): void {
    this.send([encodeData({ tsn: this.tsn, data, sequence: (this.tsn - this.tag) & 0xffff })], way);
    this.tsn = (this.tsn + 1) >>> 0;
  }

  /** From now on: HEARTBEATs, DATA and SHUTDOWNs are answered to where they came from. */
  behave(): void {
    this.#answered = this.raw.heard.length;
    this.#timer ??= setInterval(() => {
      try {
        this.#answerFresh();
      } catch {
        // A cut cable: the answer is lost, as it would be.
      }
    }, ANSWER_PERIOD_MS);
  }

  silence(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #answerFresh(): void {
    this.raw.receive();
    for (const heard of this.raw.heard.slice(this.#answered)) {
      if (heard.outgoing || heard.sctp === undefined) continue;
      if (heard.sctp.destinationPort !== this.options.port || heard.sctp.verificationTag !== this.tag)
        continue;
      const packet = parsePacket(heard.sctp.bytes);
      if (isMalformed(packet)) continue;
      const answers = packet.chunks.flatMap((chunk) => this.#answerTo(chunk));
      if (answers.length > 0) this.send(answers, { from: heard.destination, to: heard.source });
    }
    this.#answered = this.raw.heard.length;
  }

  #answerTo(chunk: Chunk): Uint8Array[] {
    switch (chunk.type) {
      case CHUNK.HEARTBEAT:
        return [encodeChunk(CHUNK.HEARTBEAT_ACK, 0, chunkValue(chunk))];
      case CHUNK.DATA: {
        const tsn = read32(chunk.bytes, chunk.offset + 4);
        if (tsn === (this.peerTsn + 1) >>> 0) this.peerTsn = tsn;
        return [encodeSack(this.peerTsn)];
      }
      case CHUNK.SHUTDOWN:
        return [encodeShutdownAck()];
      case CHUNK.SHUTDOWN_ACK:
        return [encodeShutdownComplete()];
      default:
        return [];
    }
  }
}

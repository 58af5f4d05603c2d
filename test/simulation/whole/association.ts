// One end of an association after its handshake, as RFC 9260 has it: DATA with retransmission and failover between
// destinations, SACK, HEARTBEAT on every path, SHUTDOWN, ABORT. Ordered, one stream; no congestion control.
import type { Address, Timer } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  chunkValue,
  encodeAbort,
  encodeData,
  encodeHeartbeat,
  encodeHeartbeatAck,
  encodeSack,
  encodeShutdown,
  encodeShutdownAck,
  encodeShutdownComplete,
  encodeUserInitiatedAbort,
  read32,
  T_BIT,
  write32,
} from "@holdfast/sctp";
import type { Received, Surroundings } from "./host.ts";
import { type Instance, nameOf, type Side } from "./ledger.ts";
import { TIMES } from "./world.ts";

/** Messages of one side that are not acknowledged; more wait for the next talk. */
const OUTSTANDING_COUNT_MAX = 4;
/** Consecutive errors of a destination after which it is inactive (Path.Max.Retrans). */
const PATH_ERRORS_MAX = 2;
/** RFC 9260 §9.2, Association.Max.Retrans: so often SHUTDOWN-ACK is sent again, then the association is gone. */
const SHUTDOWN_ACK_COUNT_MAX = 10;
const MESSAGE_SIZE = 12;

export type AssociationState =
  | "established"
  | "shutdownPending"
  | "shutdownSent"
  | "shutdownReceived"
  | "shutdownAckSent"
  | "closed";

interface Destination {
  readonly address: Address;
  errors: number;
  /** A HEARTBEAT to it was answered (RFC 9260 §5.4). */
  confirmed: boolean;
}

export interface AssociationOptions {
  readonly instance: Instance;
  readonly side: Side;
  readonly localPort: number;
  readonly remotePort: number;
  readonly localTag: number;
  readonly remoteTag: number;
  readonly destinations: readonly Address[];
  /** The source of packets to a destination. */
  readonly sourceFor: (destination: Address) => Address;
  readonly localTsn: number;
  readonly remoteTsn: number;
  readonly send: (source: Address, destination: Address, tag: number, chunks: readonly Uint8Array[]) => void;
  readonly closed: () => void;
}

export class Association {
  readonly instance: Instance;
  readonly localTag: number;
  readonly remoteTag: number;
  readonly remotePort: number;
  state: AssociationState = "established";
  heardAtMs: number;
  readonly #options: AssociationOptions;
  readonly #around: Surroundings;
  readonly #destinations: Destination[];
  #primary = 0;
  #nextTsn: number;
  /** TSN of the last DATA that the other end acknowledged. */
  #acknowledged: number;
  readonly #outstanding: { readonly tsn: number; readonly data: Uint8Array }[] = [];
  /** The last TSN received in order. */
  #cumulative: number;
  readonly #early = new Map<number, Uint8Array>();
  #shutdownAckCount = 0;
  #rtoMs: number = TIMES.retransmitMs;
  #retransmission: Timer | undefined;
  readonly #timers: Timer[] = [];
  #nextProbe = 0;
  /** Destination index of the HEARTBEAT under way, by nonce. */
  #probe: { readonly nonce: number; readonly index: number } | undefined;

  constructor(options: AssociationOptions, around: Surroundings) {
    this.#options = options;
    this.#around = around;
    this.instance = options.instance;
    this.localTag = options.localTag;
    this.remoteTag = options.remoteTag;
    this.remotePort = options.remotePort;
    this.#destinations = options.destinations.map((address) => ({ address, errors: 0, confirmed: false }));
    this.#nextTsn = options.localTsn;
    this.#acknowledged = (options.localTsn - 1) >>> 0;
    this.#cumulative = (options.remoteTsn - 1) >>> 0;
    this.heardAtMs = around.clock.nowMs();
    const { clock, random } = around;
    this.#timers.push(
      clock.every(TIMES.heartbeatMs / this.#destinations.length, () => this.#heartbeat()),
      clock.every(TIMES.talkMs + random.below(TIMES.talkMs), () => this.#talk()),
    );
    // Both sides probe the other paths at once.
    clock.after(0.01, () => this.#heartbeat());
  }

  get isIdle(): boolean {
    return this.#outstanding.length === 0;
  }

  /** Destinations that never answered a HEARTBEAT, or do not any more. */
  get deadPaths(): Address[] {
    return this.#destinations
      .filter(({ confirmed, errors }) => !confirmed || errors > PATH_ERRORS_MAX)
      .map(({ address }) => address);
  }

  /** Begins an orderly end. */
  shutdown(): void {
    if (this.state !== "established") return;
    this.state = "shutdownPending";
    this.#proceed();
  }

  abort(): void {
    if (this.state === "closed") return;
    const cause = encodeUserInitiatedAbort("done");
    for (const { address } of this.#destinations) this.#transmit(address, [encodeAbort({ causes: [cause] })]);
    this.close();
  }

  /** Forgets everything without a word. */
  close(): void {
    if (this.state === "closed") return;
    this.state = "closed";
    this.#retransmission?.cancel();
    for (const timer of this.#timers) timer.cancel();
    this.#options.closed();
  }

  /** A packet of this association's addresses and ports. */
  receive(received: Received): void {
    const { chunks, tag } = received;
    // RFC 9260 §8.5.1: ABORT and SHUTDOWN-COMPLETE may carry our own peer's tag, reflected.
    const reflecting = chunks.some(
      ({ type, flags }) =>
        (type === CHUNK.ABORT || type === CHUNK.SHUTDOWN_COMPLETE) && (flags & T_BIT) !== 0,
    );
    if (tag !== (reflecting ? this.remoteTag : this.localTag)) return;
    this.heardAtMs = this.#around.clock.nowMs();
    const answers: Uint8Array[] = [];
    let sack = false;
    for (const chunk of chunks) {
      if (this.state === "closed") return;
      switch (chunk.type) {
        case CHUNK.DATA:
          this.#data(chunk);
          sack = true;
          break;
        case CHUNK.SACK:
          this.#sack(read32(chunkValue(chunk), 0));
          break;
        case CHUNK.HEARTBEAT:
          answers.push(encodeHeartbeatAck(chunkValue(chunk).slice(4)));
          break;
        case CHUNK.HEARTBEAT_ACK:
          this.#heartbeatAck(read32(chunkValue(chunk), 4));
          break;
        case CHUNK.ABORT:
          this.#around.ledger.told(this.instance, this.#options.side, "ABORT");
          this.close();
          return;
        case CHUNK.SHUTDOWN:
          this.#shutdown(chunk);
          break;
        case CHUNK.SHUTDOWN_ACK:
          if (this.state !== "shutdownSent" && this.state !== "shutdownAckSent") break;
          this.#reply(received, [encodeShutdownComplete()]);
          this.#over();
          return;
        case CHUNK.SHUTDOWN_COMPLETE:
          if (this.state === "shutdownAckSent") this.#over();
          break;
      }
    }
    if (sack) answers.unshift(encodeSack(this.#cumulative));
    if (sack && this.state === "shutdownSent") answers.push(encodeShutdown(this.#cumulative));
    if (answers.length > 0) this.#reply(received, answers);
    this.#proceed();
  }

  /** A COOKIE-ECHO of an association that is ending: SHUTDOWN-ACK again (RFC 9260 §5.2.4). */
  repeatShutdownAck(received: Received): void {
    this.#reply(received, [encodeShutdownAck()]);
  }

  #over(): void {
    const { instance } = this;
    if (instance.state === "alive" || instance.state === "opening")
      this.#around.ledger.told(instance, this.#options.side, "SHUTDOWN");
    instance.state = "over";
    this.close();
  }

  // -------------------------------------------------------------------------------------------------------------

  #talk(): void {
    if (!this.#around.isTalking() || this.state !== "established" || this.instance.state !== "alive") return;
    if (this.#outstanding.length >= OUTSTANDING_COUNT_MAX) return;
    const { side } = this.#options;
    const data = new Uint8Array(MESSAGE_SIZE);
    write32(data, 0, this.instance.id);
    write32(data, 4, side === "client" ? 1 : 2);
    write32(data, 8, ++this.instance.sent[side]);
    const message = { tsn: this.#nextTsn, data };
    this.#nextTsn = (this.#nextTsn + 1) >>> 0;
    this.#outstanding.push(message);
    this.#transmit(this.#destination().address, [encodeData(message)]);
    this.#arm();
  }

  #data(chunk: Chunk): void {
    const value = chunkValue(chunk);
    const tsn = read32(value, 0);
    const ahead = (tsn - this.#cumulative) >>> 0;
    if (ahead === 0 || ahead > 64) return;
    this.#early.set(tsn, value.slice(12));
    for (;;) {
      const next = (this.#cumulative + 1) >>> 0;
      const data = this.#early.get(next);
      if (data === undefined) return;
      this.#early.delete(next);
      this.#cumulative = next;
      this.#deliver(data);
    }
  }

  #deliver(data: Uint8Array): void {
    const { ledger } = this.#around;
    const from: Side = this.#options.side === "client" ? "endpoint" : "client";
    const { instance } = this;
    if (read32(data, 0) !== instance.id || read32(data, 4) !== (from === "client" ? 1 : 2)) {
      ledger.violate(`${nameOf(instance)} was given a message of a${read32(data, 0)}`);
      return;
    }
    if (read32(data, 8) !== ++instance.delivered[from])
      ledger.violate(
        `${nameOf(instance)}: message ${read32(data, 8)} came as number ${instance.delivered[from]}`,
      );
  }

  #sack(tsn: number): void {
    const advance = (tsn - this.#acknowledged) >>> 0;
    if (advance === 0 || advance > 64) return;
    this.#acknowledged = tsn;
    while (this.#outstanding.length > 0 && ((tsn - (this.#outstanding[0]?.tsn ?? 0)) | 0) >= 0)
      this.#outstanding.shift();
    this.#rtoMs = TIMES.retransmitMs;
    this.#retransmission?.cancel();
    this.#retransmission = undefined;
    this.#arm();
  }

  #shutdown(chunk: Chunk): void {
    this.#sack(read32(chunkValue(chunk), 0));
    const { instance } = this;
    if (instance.state === "alive" || instance.state === "opening")
      this.#around.ledger.told(instance, this.#options.side, "SHUTDOWN");
    if (this.state === "established" || this.state === "shutdownPending") this.state = "shutdownReceived";
    else if (this.state === "shutdownSent") {
      this.state = "shutdownAckSent";
      this.#transmit(this.#destination().address, [encodeShutdownAck()]);
      this.#arm();
    }
  }

  /** What the state asks for, once nothing is outstanding. */
  #proceed(): void {
    if (this.#outstanding.length > 0) return;
    if (this.state === "shutdownPending") {
      this.state = "shutdownSent";
      this.#transmit(this.#destination().address, [encodeShutdown(this.#cumulative)]);
      this.#arm();
    } else if (this.state === "shutdownReceived") {
      this.state = "shutdownAckSent";
      this.#transmit(this.#destination().address, [encodeShutdownAck()]);
      this.#arm();
    }
  }

  // -------------------------------------------------------------------------------------------------------------

  #arm(): void {
    const waits =
      this.#outstanding.length > 0 || this.state === "shutdownSent" || this.state === "shutdownAckSent";
    if (!waits || this.#retransmission !== undefined || this.state === "closed") return;
    this.#retransmission = this.#around.clock.after(this.#rtoMs, () => this.#expired());
  }

  /** T3: the destination has failed once more, the next one carries it. */
  #expired(): void {
    this.#retransmission = undefined;
    this.#rtoMs = Math.min(this.#rtoMs * 2, TIMES.retransmitMaxMs);
    this.#failed(this.#primary);
    const { address } = this.#destination();
    if (this.#outstanding.length > 0)
      this.#transmit(
        address,
        this.#outstanding.map((message) => encodeData(message)),
      );
    else if (this.state === "shutdownSent") this.#transmit(address, [encodeShutdown(this.#cumulative)]);
    else if (this.state === "shutdownAckSent") {
      if (++this.#shutdownAckCount > SHUTDOWN_ACK_COUNT_MAX) {
        this.#over();
        return;
      }
      this.#transmit(address, [encodeShutdownAck()]);
    }
    this.#arm();
  }

  #failed(index: number): void {
    const destination = this.#destinations[index];
    if (destination === undefined) return;
    destination.errors++;
    if (index === this.#primary) this.#primary = this.#best(index);
  }

  /** The next destination that is not inactive; when all are, simply the next. */
  #best(from: number): number {
    const count = this.#destinations.length;
    for (let i = 1; i <= count; i++) {
      const index = (from + i) % count;
      if ((this.#destinations[index]?.errors ?? 0) <= PATH_ERRORS_MAX) return index;
    }
    return (from + 1) % count;
  }

  #destination(): Destination {
    return this.#destinations[this.#primary] as Destination;
  }

  #heartbeat(): void {
    if (this.state === "closed") return;
    if (this.#probe !== undefined) {
      const destination = this.#destinations[this.#probe.index];
      // Asked and not answered by the next turn.
      if (destination !== undefined) destination.errors++;
      if (this.#probe.index === this.#primary && (destination?.errors ?? 0) > PATH_ERRORS_MAX)
        this.#primary = this.#best(this.#primary);
    }
    const index = this.#nextProbe++ % this.#destinations.length;
    const nonce = this.#around.random.uint32();
    this.#probe = { nonce, index };
    const information = new Uint8Array(8);
    write32(information, 0, nonce);
    write32(information, 4, index);
    this.#transmit((this.#destinations[index] as Destination).address, [encodeHeartbeat(information)]);
  }

  #heartbeatAck(nonce: number): void {
    if (this.#probe?.nonce !== nonce) return;
    const destination = this.#destinations[this.#probe.index];
    if (destination !== undefined) {
      destination.errors = 0;
      destination.confirmed = true;
    }
    this.#probe = undefined;
  }

  #transmit(destination: Address, chunks: readonly Uint8Array[]): void {
    const { send, sourceFor } = this.#options;
    send(sourceFor(destination), destination, this.remoteTag, chunks);
  }

  #reply(to: Received, chunks: readonly Uint8Array[]): void {
    this.#options.send(to.destination, to.source, this.remoteTag, chunks);
  }
}

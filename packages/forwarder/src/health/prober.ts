// Health probes: an INIT from the node's own address, never from a VIP, and never more: an endpoint that answers with
// INIT-ACK has made no state (RFC 9260 §5.1), and its application sees nothing.
import type { Address, Clock, Random, Timer } from "@holdfast/model";
import {
  CHUNK,
  type Chunk,
  encodeInit,
  encodePacket,
  isMalformed,
  parsePacket,
  read16,
  read32,
  T_BIT,
  verifyChecksum,
} from "@holdfast/sctp";
import type { Verdict } from "./endpoint-health.ts";

/** Where probes leave and answers arrive: SCTP packets, without IP header, from an address of this node. */
export interface ProbeChannel {
  /** false: there is no way to send there now. */
  send(to: Address, packet: Uint8Array): boolean;
  /** Every SCTP packet that arrives for this node; the listener recognises its own. Valid only during the call. */
  onPacket(listener: (packet: Uint8Array) => void): void;
  /**
   * ICMP destination unreachable about a packet to `to`; `quoted` is its SCTP part, possibly cut off. `refused`: by the
   * host itself, which has nobody that speaks SCTP (protocol or port unreachable); else by somebody on the way.
   */
  onUnreachable(listener: (to: Address, quoted: Uint8Array, refused: boolean) => void): void;
  close(): void;
}

export interface ProbeSettings {
  /** Between two probes of one endpoint. */
  readonly periodMs: number;
  /** How long an answer may take; less than the period. */
  readonly timeoutMs: number;
  /** Unanswered probes in a row that make "down". */
  readonly downCount: number;
  /** Answered ones in a row that make "up" again; doubled with every relapse. */
  readonly upCount: number;
  /** … up to this. */
  readonly upCountMax: number;
  /** An endpoint that stayed up for so long has its relapses forgotten. */
  readonly stableMs: number;
}

export const PROBE_SETTINGS_DEFAULT: ProbeSettings = {
  periodMs: 1_000,
  timeoutMs: 500,
  downCount: 3,
  upCount: 2,
  upCountMax: 16,
  stableMs: 60_000,
};

export interface HealthProberOptions {
  readonly channel: ProbeChannel;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings?: Partial<ProbeSettings>;
  /** Called for every verdict that follows from probes, changed or not. `gone`: see `EndpointHealth.setOwn`. */
  readonly verdict: (endpoint: ProbedEndpoint, verdict: Verdict, reason: string, gone: boolean) => void;
}

export interface ProbedEndpoint {
  readonly address: Address;
  readonly port: number;
}

/** How long the latest answers took, ms. */
export interface ProbeDelays {
  readonly minMs: number;
  readonly averageMs: number;
  readonly maxMs: number;
}

interface Target {
  readonly endpoint: ProbedEndpoint;
  readonly sourcePort: number;
  timer: Timer | undefined;
  timeout: Timer | undefined;
  /** Initiate tag of the probe under way; 0: none. */
  tag: number;
  verdict: Verdict | undefined;
  missed: number;
  answered: number;
  /** Probes in a row that the host itself refused. */
  refused: number;
  upCount: number;
  upSinceMs: number;
  sentMs: number;
  /** Of the latest answers, at most DELAY_COUNT_MAX; empty while it is down. */
  delaysMs: number[];
}

/** Ports of probes: outside the usual ephemeral range of Linux (32,768 … 60,999). */
const PROBE_PORT_FIRST = 61_000;
const PROBE_PORT_COUNT = 4_000;
/** Refusals in a row after which nobody is believed to be there any more … */
const GONE_COUNT = 2;
/** … the second of which is asked for this soon. */
const CONFIRMATION_MS = 100;
const DELAY_COUNT_MAX = 32;
const PROOF_SIZE = 8;
const INITIATE_TAG_OFFSET = 16;

export class HealthProber {
  readonly #options: HealthProberOptions;
  readonly #settings: ProbeSettings;
  readonly #targets = new Map<string, Target>();
  readonly #byTag = new Map<number, Target>();
  #nextPort: number;
  #stopped = false;

  constructor(options: HealthProberOptions) {
    this.#options = options;
    this.#settings = { ...PROBE_SETTINGS_DEFAULT, ...options.settings };
    const { periodMs, timeoutMs } = this.#settings;
    if (timeoutMs >= periodMs) {
      throw new RangeError(`a probe's timeout of ${timeoutMs} ms does not fit its period of ${periodMs} ms`);
    }
    this.#nextPort = options.random.below(PROBE_PORT_COUNT);
    options.channel.onPacket((packet) => this.#received(packet));
    options.channel.onUnreachable((to, quoted, refused) => this.#unreachable(to, quoted, refused));
  }

  /** Replaces what is probed. What stays keeps its verdict; the first probe of what is new goes out within a period. */
  setEndpoints(endpoints: readonly ProbedEndpoint[]): void {
    const wanted = new Map(endpoints.map((endpoint) => [keyOf(endpoint), endpoint]));
    for (const [key, target] of this.#targets) {
      if (wanted.has(key)) continue;
      this.#cancel(target);
      this.#targets.delete(key);
    }
    for (const [key, endpoint] of wanted) {
      if (this.#targets.has(key) || this.#stopped) continue;
      const target: Target = {
        endpoint: { address: endpoint.address, port: endpoint.port },
        sourcePort: PROBE_PORT_FIRST + (this.#nextPort++ % PROBE_PORT_COUNT),
        timer: undefined,
        timeout: undefined,
        tag: 0,
        verdict: undefined,
        missed: 0,
        answered: 0,
        refused: 0,
        upCount: this.#settings.upCount,
        upSinceMs: 0,
        sentMs: 0,
        delaysMs: [],
      };
      this.#targets.set(key, target);
      // Spread over the period, so that many endpoints are not probed in one burst; the first one soon.
      this.#schedule(
        target,
        this.#options.random.below(Math.max(1, Math.floor(this.#settings.periodMs / 4))),
      );
    }
  }

  /** Passive signs make a probe due now; a verdict follows from its answer only. */
  probeNow(endpoint: ProbedEndpoint): void {
    const target = this.#targets.get(keyOf(endpoint));
    if (target === undefined || target.tag !== 0) return;
    this.#schedule(target, 0);
  }

  /** undefined: it is not probed, or has not answered. */
  delaysOf(endpoint: ProbedEndpoint): ProbeDelays | undefined {
    const delaysMs = this.#targets.get(keyOf(endpoint))?.delaysMs;
    if (delaysMs === undefined || delaysMs.length === 0) return undefined;
    const sum = delaysMs.reduce((total, ms) => total + ms, 0);
    return {
      minMs: Math.min(...delaysMs),
      averageMs: sum / delaysMs.length,
      maxMs: Math.max(...delaysMs),
    };
  }

  stop(): void {
    this.#stopped = true;
    for (const target of this.#targets.values()) this.#cancel(target);
    this.#targets.clear();
    this.#options.channel.close();
  }

  #schedule(target: Target, delayMs: number): void {
    target.timer?.cancel();
    target.timer = this.#options.clock.after(delayMs, () => this.#probe(target));
  }

  #probe(target: Target): void {
    const { channel, clock, random } = this.#options;
    this.#schedule(target, this.#settings.periodMs);
    let tag = random.uint32();
    while (tag === 0 || this.#byTag.has(tag)) tag = random.uint32();
    target.tag = tag;
    target.sentMs = clock.nowMs();
    this.#byTag.set(tag, target);
    target.timeout = clock.after(this.#settings.timeoutMs, () => this.#missed(target, "unanswered"));
    const packet = encodePacket({
      sourcePort: target.sourcePort,
      destinationPort: target.endpoint.port,
      verificationTag: 0,
      chunks: [encodeInit({ initiateTag: tag, initialTsn: tag })],
    });
    if (!channel.send(target.endpoint.address, packet)) this.#missed(target, "not sent");
  }

  /** INIT-ACK or ABORT with the tag of a probe under way; everything else is not ours, or forged. */
  #received(bytes: Uint8Array): void {
    const packet = parsePacket(bytes);
    if (isMalformed(packet)) return;
    const target = this.#byTag.get(packet.verificationTag);
    // An endpoint may answer from another of its addresses; tag and ports say that it is the one.
    if (
      target === undefined ||
      packet.sourcePort !== target.endpoint.port ||
      packet.destinationPort !== target.sourcePort ||
      !verifyChecksum(bytes, 0, bytes.length)
    ) {
      return;
    }
    const first = packet.chunks[0] as Chunk;
    if (first.type === CHUNK.INIT_ACK) this.#answered(target);
    else if (first.type === CHUNK.ABORT && (first.flags & T_BIT) === 0)
      this.#down(target, "ABORT to a probe");
  }

  /** Only with proof that it is about a probe under way: its ports and, since an INIT has tag 0, its initiate tag. */
  #unreachable(to: Address, quoted: Uint8Array, refused: boolean): void {
    if (quoted.length < PROOF_SIZE) return;
    const target = this.#targets.get(`${to}|${read16(quoted, 2)}`);
    if (target === undefined || target.tag === 0 || read16(quoted, 0) !== target.sourcePort) return;
    const hasTag = quoted.length >= INITIATE_TAG_OFFSET + 4;
    // Eight quoted bytes prove too little to act at once; the probe runs into its time-out instead.
    if (!hasTag || read32(quoted, INITIATE_TAG_OFFSET) !== target.tag) return;
    if (!refused) {
      this.#down(target, "unreachable (ICMP)");
      return;
    }
    target.refused += 1;
    this.#down(target, "refused (ICMP)", target.refused >= GONE_COUNT);
    if (target.refused < GONE_COUNT) {
      this.#schedule(target, Math.min(CONFIRMATION_MS, this.#settings.periodMs));
    }
  }

  #answered(target: Target): void {
    this.#finish(target);
    const { clock, verdict } = this.#options;
    const nowMs = clock.nowMs();
    target.delaysMs.push(nowMs - target.sentMs);
    if (target.delaysMs.length > DELAY_COUNT_MAX) target.delaysMs.shift();
    target.missed = 0;
    target.answered += 1;
    if (target.verdict === "up") {
      if (nowMs - target.upSinceMs >= this.#settings.stableMs) target.upCount = this.#settings.upCount;
    } else if (target.verdict === undefined || target.answered >= target.upCount) {
      target.verdict = "up";
      target.upSinceMs = nowMs;
    }
    target.refused = 0;
    if (target.verdict === "up") verdict(target.endpoint, "up", "answers probes", false);
  }

  #missed(target: Target, what: string): void {
    this.#finish(target);
    target.answered = 0;
    target.refused = 0;
    target.missed += 1;
    if (target.missed < this.#settings.downCount) return;
    this.#down(target, `${target.missed} probes ${what}`);
  }

  #down(target: Target, reason: string, gone = false): void {
    this.#finish(target);
    target.answered = 0;
    target.delaysMs = [];
    if (target.verdict === "up") {
      // Each relapse has to be lived down longer: no flapping.
      target.upCount = Math.min(this.#settings.upCountMax, target.upCount * 2);
    }
    target.verdict = "down";
    this.#options.verdict(target.endpoint, "down", reason, gone);
  }

  #finish(target: Target): void {
    if (target.tag !== 0) this.#byTag.delete(target.tag);
    target.tag = 0;
    target.timeout?.cancel();
    target.timeout = undefined;
  }

  #cancel(target: Target): void {
    this.#finish(target);
    target.timer?.cancel();
    target.timer = undefined;
  }
}

function keyOf(endpoint: ProbedEndpoint): string {
  return `${endpoint.address}|${endpoint.port}`;
}

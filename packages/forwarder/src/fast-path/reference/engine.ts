// Tables, translator, counters and punt queue in one: all of a fast path but the wire. The userspace and the
// simulated fast path are this with different wires.
import { IPV4_SOURCE_OFFSET, IPV6_SOURCE_OFFSET } from "@holdfast/sctp";
import type { Punt, PuntReason } from "../port.ts";
import { PUNT_RATES_DEFAULT, PuntQueue, type PuntRates } from "./punt-queue.ts";
import { Sources } from "./sources.ts";
import { FLOW_COUNT_MAX_DEFAULT, FlowTables } from "./tables.ts";
import { Translator, type TranslatorOptions } from "./translator.ts";
import type { DropReason, PlainVerdict, Verdict } from "./verdict.ts";

export interface EngineOptions {
  readonly nowMs: () => number;
  readonly flowCountMax?: number;
  readonly puntRates?: PuntRates;
  readonly egress?: TranslatorOptions["egress"];
}

/**
 * A received packet: an IP packet at the start of bytes[0, size), link-layer padding behind it, rewritten in
 * place when it is forwarded.
 */
export interface Received {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly interfaceIndex: number;
  readonly checksumPartial: boolean;
}

/** A flow's source is noted with every so many packets, and with the first after a pause. */
const SOURCE_PERIOD_COUNT = 256;
const SOURCE_PERIOD_MS = 1_000;

/** Offset and size of the source address. */
function sourceIn(packet: Uint8Array): [offset: number, size: number] {
  return (packet[0] as number) >>> 4 === 4 ? [IPV4_SOURCE_OFFSET, 4] : [IPV6_SOURCE_OFFSET, 16];
}

function sourceRange(packet: Uint8Array): [start: number, end: number] {
  const [offset, size] = sourceIn(packet);
  return [offset, offset + size];
}

export class Engine {
  readonly tables: FlowTables;
  readonly translator: Translator;
  readonly totals = new Map<string, number>();
  readonly #nowMs: () => number;
  readonly #punts: PuntQueue;
  readonly #sources = new Sources();
  #listener: ((punt: Punt) => void) | undefined;

  constructor(options: EngineOptions) {
    this.#nowMs = options.nowMs;
    this.tables = new FlowTables(options.nowMs, options.flowCountMax ?? FLOW_COUNT_MAX_DEFAULT);
    this.translator = new Translator(this.tables, options.egress ? { egress: options.egress } : {});
    this.#punts = new PuntQueue(options.puntRates ?? PUNT_RATES_DEFAULT);
  }

  /** Size of the IP packet last processed, without link-layer padding. */
  get packetSize(): number {
    return this.translator.packetSize;
  }

  /** Decides, counts, queues the punt, rewrites. What is left to the caller: sending, answering, passing. */
  process(received: Received): Verdict {
    const { bytes, size, interfaceIndex, checksumPartial } = received;
    const verdict = this.translator.decide(bytes, size);
    const packet = bytes.subarray(0, this.translator.packetSize);
    switch (verdict.action) {
      case "drop":
        this.#countDrop(verdict.reason);
        break;
      case "punt": {
        const proven = verdict.reason === "fragment" ? this.#isFragmentKnown(packet) : verdict.proven;
        if (verdict.reason === "fragment" && proven === false) {
          this.#countDrop("punt-rate");
          break;
        }
        this.#punt({
          reason: verdict.reason,
          packet,
          interfaceIndex,
          timeMs: this.#nowMs(),
          session: verdict.session,
          checksumPartial,
          copy: false,
          ...(verdict.mtu === undefined ? {} : { mtu: verdict.mtu }),
          ...(proven === true && { proven }),
        });
        break;
      }
      case "forward": {
        const { entry } = verdict;
        if (verdict.learn) {
          // A copy that found no room is tried again with the next packet.
          entry.learn = !this.#punt({
            reason: "learn",
            packet,
            interfaceIndex,
            timeMs: this.#nowMs(),
            session: entry.flow.session,
            checksumPartial,
            copy: true,
            proven: true,
          });
        }
        if (entry.packets % SOURCE_PERIOD_COUNT === 0 || this.#nowMs() - entry.lastSeenMs > SOURCE_PERIOD_MS)
          this.#sources.heard(packet, ...sourceIn(packet), this.#nowMs());
        this.translator.apply(verdict, packet, checksumPartial);
        entry.packets += 1;
        entry.bytes += packet.length;
        entry.lastSeenMs = this.#nowMs();
        this.count("forward.packets");
        this.count("forward.bytes", packet.length);
        break;
      }
      case "forwardPlain":
        this.#forwardPlain(verdict, packet, received);
        break;
      case "answer":
        this.count(`answer.${verdict.what}`);
        break;
      case "pass":
        this.count("pass");
        break;
    }
    return verdict;
  }

  #forwardPlain(verdict: PlainVerdict, packet: Uint8Array, received: Received): void {
    const { entry, claim } = verdict;
    const copy = (reason: PuntReason) =>
      this.#punt({
        reason,
        packet,
        interfaceIndex: received.interfaceIndex,
        timeMs: this.#nowMs(),
        session: entry.flow.session,
        checksumPartial: received.checksumPartial,
        copy: true,
        proven: true,
      });
    if (verdict.learn) entry.learn = !copy("learn");
    if (verdict.end) copy("end");
    if (claim === "unproven") this.count("end.unproven");
    const isDue =
      entry.packets % SOURCE_PERIOD_COUNT === 0 || this.#nowMs() - entry.lastSeenMs > SOURCE_PERIOD_MS;
    const source = packet.slice(...sourceRange(packet));
    const proven = this.translator.applyPlain(verdict, packet, received.checksumPartial, this.#nowMs());
    if (proven && isDue) this.#sources.heard(source, 0, source.length, this.#nowMs());
    this.count("forward.packets");
    this.count("forward.bytes", packet.length);
  }

  /** undefined: nobody's. false: above the rate of its source. */
  #isFragmentKnown(packet: Uint8Array): boolean | undefined {
    return this.#sources.mayFragment(packet, ...sourceIn(packet), this.#nowMs());
  }

  /** With what the tables count themselves. */
  totalsNow(): Map<string, number> {
    const totals = new Map(this.totals);
    const { fullCount } = this.tables.plain;
    if (fullCount > 0) totals.set("flow-table-full", (totals.get("flow-table-full") ?? 0) + fullCount);
    return totals;
  }

  onPunt(listener: (punt: Punt) => void): void {
    this.#listener = listener;
  }

  /** A punt that the engine did not make itself: a neighbour solicitation, for one. */
  punt(punt: Punt): void {
    this.#punt(punt);
  }

  get puntCount(): number {
    return this.#punts.size;
  }

  /** Delivers at most `countMax` waiting punts; true when more wait. */
  deliver(countMax: number): boolean {
    for (let i = 0; i < countMax; i++) {
      const punt = this.#punts.shift();
      if (punt === undefined) return false;
      this.#listener?.(punt);
    }
    return this.#punts.size > 0;
  }

  count(name: string, by = 1): void {
    this.totals.set(name, (this.totals.get(name) ?? 0) + by);
  }

  countDrop(reason: DropReason): void {
    this.#countDrop(reason);
  }

  /** Whether there was room. A refused copy is no drop: the packet itself goes on. */
  #punt(punt: Punt): boolean {
    const refusal = this.#punts.push(punt);
    if (refusal === undefined) this.count(`punt.${punt.reason}`);
    else if (!punt.copy) this.#countDrop(refusal);
    return refusal === undefined;
  }

  #countDrop(reason: DropReason): void {
    this.count(`drop.${reason}`);
  }
}

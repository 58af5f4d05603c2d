// Tables, translator, counters and punt queue in one: all of a fast path but the wire. The userspace and the
// simulated fast path are this with different wires.
import type { Punt } from "../port.ts";
import { PUNT_RATES_DEFAULT, PuntQueue, type PuntRates } from "./punt-queue.ts";
import { FLOW_COUNT_MAX_DEFAULT, FlowTables } from "./tables.ts";
import { Translator, type TranslatorOptions } from "./translator.ts";
import type { DropReason, Verdict } from "./verdict.ts";

export interface EngineOptions {
  readonly nowMs: () => number;
  readonly flowCountMax?: number;
  readonly puntRates?: PuntRates;
  readonly egress?: TranslatorOptions["egress"];
}

/** A received packet: an IP packet at the start of bytes[0, size), link-layer padding behind it, rewritten in place when it is forwarded. */
export interface Received {
  readonly bytes: Uint8Array;
  readonly size: number;
  readonly interfaceIndex: number;
  readonly checksumPartial: boolean;
}

export class Engine {
  readonly tables: FlowTables;
  readonly translator: Translator;
  readonly totals = new Map<string, number>();
  readonly #nowMs: () => number;
  readonly #punts: PuntQueue;
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
      case "punt":
        this.#punt({
          reason: verdict.reason,
          packet,
          interfaceIndex,
          timeMs: this.#nowMs(),
          session: verdict.session,
          checksumPartial,
          copy: false,
          ...(verdict.mtu === undefined ? {} : { mtu: verdict.mtu }),
        });
        break;
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
          });
        }
        this.translator.apply(verdict, packet, checksumPartial);
        entry.packets += 1;
        entry.bytes += packet.length;
        entry.lastSeenMs = this.#nowMs();
        this.count("forward.packets");
        this.count("forward.bytes", packet.length);
        break;
      }
      case "answer":
        this.count(`answer.${verdict.what}`);
        break;
      case "pass":
        this.count("pass");
        break;
    }
    return verdict;
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

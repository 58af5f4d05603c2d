import { type Address, addressBytes } from "@holdfast/model";
import { echoReply } from "../answer/echo.ts";
import type { PlainFlows } from "../plain.ts";
import type { FastPath, FastPathEndpoint, Flow, FlowCounters, FlowKey, LocalAddress, Punt } from "../port.ts";
import type { Egress } from "../reference/egress.ts";
import { Engine } from "../reference/engine.ts";
import type { PuntRates } from "../reference/punt-queue.ts";
import type { Verdict } from "../reference/verdict.ts";

export interface SimulatedFastPathOptions {
  /** Default: a clock at 0 that `advance` moves. */
  readonly nowMs?: () => number;
  readonly flowCountMax?: number;
  readonly puntRates?: PuntRates;
  /** MTU towards a destination (4 or 16 bytes); undefined: no next hop. Default: everything goes. */
  readonly egress?: (destination: Uint8Array) => Egress | undefined;
}

export interface OutgoingPacket {
  /** Whole IP packet. */
  readonly packet: Uint8Array;
  /** Who sent it: the translation, the slow path through `send`, or an answer to a ping. */
  readonly origin: "forward" | "send" | "answer";
}

export class SimulatedFastPath implements FastPath {
  readonly mode = "userspace";
  /** What left and was not taken yet; empty while `onOutgoing` has a listener. */
  readonly outgoing: OutgoingPacket[] = [];
  readonly #engine: Engine;
  readonly #ownNowMs: (() => number) | undefined;
  readonly #egress: SimulatedFastPathOptions["egress"];
  #manualMs = 0;
  #started = false;
  #delivering = false;
  #outgoingListener: ((packet: OutgoingPacket) => void) | undefined;
  #detached = false;

  constructor(options: SimulatedFastPathOptions = {}) {
    this.#ownNowMs = options.nowMs;
    this.#egress = options.egress;
    this.#engine = new Engine({ ...options, nowMs: () => this.nowMs() });
  }

  /**
   * A packet arrives. Punts are delivered before this returns, unless `start` is still to come or this is called from
   * inside a delivery. The verdict is for tests; the packet is copied, never written to.
   */
  inject(
    packet: Uint8Array,
    interfaceIndex = 1,
    options: { readonly checksumPartial?: boolean } = {},
  ): Verdict {
    const bytes = packet.slice();
    const verdict = this.#engine.process({
      bytes,
      size: bytes.length,
      interfaceIndex,
      checksumPartial: options.checksumPartial ?? false,
    });
    if (verdict.action === "forward" || verdict.action === "forwardPlain") {
      this.#leave({ packet: bytes.subarray(0, this.#engine.packetSize), origin: "forward" });
    }
    if (verdict.action === "answer" && verdict.what === "echo") {
      this.#leave({ packet: echoReply(bytes, bytes.length), origin: "answer" });
    }
    this.#deliver();
    return verdict;
  }

  /** Hears every packet that leaves, in order, instead of `outgoing`. */
  onOutgoing(listener: (packet: OutgoingPacket) => void): void {
    this.#outgoingListener = listener;
  }

  /** Everything that left since the last call. */
  takeOutgoing(): OutgoingPacket[] {
    return this.outgoing.splice(0);
  }

  /** Moves the manual clock. */
  advance(ms: number): void {
    this.#manualMs += ms;
  }

  get plain(): PlainFlows {
    return this.#engine.tables.plain;
  }

  mtuTowards(_source: Address, destination: Address): number | undefined {
    return this.#egress?.(addressBytes(destination))?.mtu;
  }

  get flowCount(): number {
    return this.#engine.tables.flows.size + this.#engine.tables.plain.flows.size;
  }

  interfaces(): readonly [] {
    return [];
  }

  viaTc(): readonly [] {
    return [];
  }

  nowMs(): number {
    return this.#ownNowMs === undefined ? this.#manualMs : this.#ownNowMs();
  }

  setLocal(addresses: readonly LocalAddress[]): void {
    this.#engine.tables.setLocal(addresses);
  }

  setEndpoints(endpoints: readonly FastPathEndpoint[]): void {
    this.#engine.tables.setEndpoints(endpoints);
  }

  install(flow: Flow): boolean {
    const installed = this.#engine.tables.install(flow);
    if (!installed) this.#engine.count("flow-table-full");
    return installed;
  }

  remove(key: FlowKey): void {
    this.#engine.tables.remove(key);
  }

  counters(key: FlowKey): FlowCounters | undefined {
    return this.#engine.tables.counters(key);
  }

  sweep(cursor: unknown, visit: (flow: Flow, counters: FlowCounters) => "keep" | "remove"): unknown {
    return this.#engine.tables.sweep(cursor, visit);
  }

  onPunt(listener: (punt: Punt) => void): void {
    this.#engine.onPunt(listener);
  }

  start(): void {
    this.#started = true;
    this.#deliver();
  }

  send(packet: Uint8Array): boolean {
    if (this.#detached) return false;
    this.#engine.count("send.packets");
    this.#leave({ packet: packet.slice(), origin: "send" });
    return true;
  }

  totals(): ReadonlyMap<string, number> {
    return this.#engine.totalsNow();
  }

  signOfLife(): void {}

  detach(): Promise<void> {
    this.#detached = true;
    this.#started = false;
    return Promise.resolve();
  }

  uninstall(): Promise<void> {
    this.#engine.tables.clear();
    return this.detach();
  }

  #deliver(): void {
    if (!this.#started || this.#delivering) return;
    this.#delivering = true;
    try {
      while (this.#engine.deliver(1)) {}
    } finally {
      this.#delivering = false;
    }
  }

  #leave(packet: OutgoingPacket): void {
    if (this.#outgoingListener === undefined) this.outgoing.push(packet);
    else this.#outgoingListener(packet);
  }
}

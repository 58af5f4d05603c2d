// The data plane of one machine: the reference engine as the kernel would hold it. It outlives the daemon: what it
// matches goes on, and what it would have punted goes to the VIP's successor once the sign of life is stale.

import {
  Engine,
  type FastPath,
  type Flow,
  type FlowKey,
  type LocalAddress,
  type Punt,
} from "@holdfast/forwarder/testing";
import { type Address, addressFromBytes } from "@holdfast/model";
import type { SimulatedClock } from "../clock.ts";
import { TIMES } from "./world.ts";

/** From the ring to the daemon's event loop. */
const PUNT_DELAY_MS = 0.05;
const PUNT_TURN_COUNT_MAX = 64;

export interface MachineSide {
  /** The machine's monotonic clock; it outlives daemons. */
  nowMs(): number;
  /** Sends a whole IP packet on. */
  transmit(packet: Uint8Array): void;
  /** To a neighbour of the machine, as the daemon had resolved it. */
  divert(interfaceIndex: number, mac: Uint8Array, packet: Uint8Array): void;
}

export class PinnedFastPath {
  readonly #machine: MachineSide;
  #engine: Engine;
  #locals: ReadonlyMap<Address, LocalAddress> = new Map();
  #aliveMs = Number.NEGATIVE_INFINITY;
  #attached: Attachment | undefined;
  readonly totals = { diverted: 0, undeliverable: 0 };

  constructor(machine: MachineSide) {
    this.#machine = machine;
    this.#engine = new Engine({ nowMs: () => machine.nowMs() });
  }

  /** The daemon answers for VIPs, or did a moment ago. */
  get isAlive(): boolean {
    return this.#machine.nowMs() - this.#aliveMs <= TIMES.deadAfterMs;
  }

  /** Packets that were punted for want of a flow. */
  get missCount(): number {
    return this.#engine.totals.get("punt.miss") ?? 0;
  }

  owns(vip: Address): boolean {
    return this.#locals.get(vip)?.owned === true;
  }

  beat(): void {
    this.#aliveMs = this.#machine.nowMs();
  }

  /** The machine is gone, and everything in its kernel with it. */
  wipe(): void {
    this.#engine = new Engine({ nowMs: () => this.#machine.nowMs() });
    this.#locals = new Map();
    this.#aliveMs = Number.NEGATIVE_INFINITY;
  }

  flows(): Flow[] {
    const flows: Flow[] = [];
    let cursor: unknown;
    do {
      cursor = this.#engine.tables.sweep(cursor, (flow) => {
        flows.push(flow);
        return "keep";
      });
    } while (cursor !== undefined);
    return flows;
  }

  /** false: not for the data plane, the host's stack may have it. */
  process(packet: Uint8Array, interfaceIndex: number, from: Uint8Array): boolean {
    const bytes = packet.slice();
    if (!this.isAlive) {
      const { action } = this.#engine.translator.decide(bytes, bytes.length);
      // Nobody else could take it: it waits in the ring, the daemon may be starved and not dead.
      if (action === "punt" && this.#divert(bytes, from)) return true;
    }
    const verdict = this.#engine.process({
      bytes,
      size: bytes.length,
      interfaceIndex,
      checksumPartial: false,
    });
    if (verdict.action === "forward" || verdict.action === "forwardPlain")
      this.#machine.transmit(bytes.subarray(0, this.#engine.packetSize));
    if (this.#engine.puntCount > 0) this.#attached?.wake();
    return verdict.action !== "pass";
  }

  /** IPv4 only: the simulated world has no other. false: there is no successor, or it came from there. */
  #divert(bytes: Uint8Array, from: Uint8Array): boolean {
    const destination = addressFromBytes(bytes, 16, 4);
    const successor = this.#locals.get(destination)?.successor;
    if (successor === undefined || Buffer.from(from).equals(successor.mac)) return false;
    const timeToLive = bytes[8] as number;
    if (timeToLive <= 1) {
      this.totals.undeliverable++;
      return true;
    }
    bytes[8] = timeToLive - 1;
    // RFC 1141: one less in the high byte of the word is one more there in the checksum, with its carry.
    const sum = (((bytes[10] as number) << 8) | (bytes[11] as number)) + 0x100;
    const folded = (sum & 0xffff) + (sum >>> 16);
    bytes[10] = folded >>> 8;
    bytes[11] = folded & 0xff;
    this.totals.diverted++;
    this.#machine.divert(successor.interfaceIndex, successor.mac, bytes);
    return true;
  }

  /** For one life of the daemon; what an earlier life had is cut off. */
  attach(clock: SimulatedClock): FastPath {
    this.#attached?.cut();
    const attachment = new Attachment(clock, () => this.#engine);
    this.#attached = attachment;
    const engine = () => this.#engine;
    const isCurrent = () => this.#attached === attachment && !clock.stopped;
    return {
      mode: "tc",
      interfaces: () => [],
      viaTc: () => [],
      nowMs: () => this.#machine.nowMs(),
      setLocal: (addresses) => {
        if (!isCurrent()) return;
        this.#locals = new Map(addresses.map((local) => [local.address, local]));
        engine().tables.setLocal(addresses);
      },
      setEndpoints: (endpoints) => {
        if (isCurrent()) engine().tables.setEndpoints(endpoints);
      },
      install: (flow) => isCurrent() && engine().tables.install(flow),
      remove: (key: FlowKey) => {
        if (isCurrent()) engine().tables.remove(key);
      },
      counters: (key) => engine().tables.counters(key),
      sweep: (cursor, visit) => engine().tables.sweep(cursor, visit),
      plain: {
        install: (flow) => isCurrent() && engine().tables.plain.install(flow),
        remove: (key, session) => {
          if (isCurrent()) engine().tables.plain.remove(key, session);
        },
        read: (key) => engine().tables.plain.read(key),
        stateOf: (key) => engine().tables.plain.stateOf(key),
        refresh: (key, bytes) => {
          if (isCurrent()) engine().tables.plain.refresh(key, bytes);
        },
        sweep: (cursor, visit) => engine().tables.plain.sweep(cursor, visit),
      },
      onPunt: (listener) => {
        attachment.listener = listener;
        engine().onPunt((punt) => attachment.listener?.(punt));
      },
      start: () => attachment.start(),
      send: (packet) => {
        if (!isCurrent()) return false;
        this.#machine.transmit(packet.slice());
        return true;
      },
      totals: () => engine().totalsNow(),
      signOfLife: () => this.beat(),
      detach: () => {
        attachment.cut();
        return Promise.resolve();
      },
      uninstall: () => {
        attachment.cut();
        this.wipe();
        return Promise.resolve();
      },
    };
  }
}

/** The daemon's end of the ring. */
class Attachment {
  listener: ((punt: Punt) => void) | undefined;
  readonly #clock: SimulatedClock;
  readonly #engine: () => Engine;
  #started = false;
  #waking = false;

  constructor(clock: SimulatedClock, engine: () => Engine) {
    this.#clock = clock;
    this.#engine = engine;
  }

  start(): void {
    this.#started = true;
    this.wake();
  }

  cut(): void {
    this.#started = false;
  }

  wake(): void {
    if (!this.#started || this.#waking) return;
    this.#waking = true;
    this.#clock.after(PUNT_DELAY_MS, () => {
      this.#waking = false;
      if (this.#started && this.#engine().deliver(PUNT_TURN_COUNT_MAX)) this.wake();
    });
  }
}

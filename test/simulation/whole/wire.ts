// The simulated segments: every network is one, with ports of hosts on it. A frame is delayed, lost, doubled or
// overtaken; a port may be cut off, a segment may fall in two.
import type { Address, Random } from "@holdfast/model";
import type { SimulatedTime } from "../clock.ts";
import type { Network } from "./world.ts";

export type Frame =
  /** A whole IP packet. */
  | { readonly kind: "ip"; readonly packet: Uint8Array }
  | { readonly kind: "arpRequest"; readonly target: Address }
  /** An answer, or gratuitous. */
  | { readonly kind: "arp"; readonly address: Address; readonly mac: number }
  /** A coordinator's probe. */
  | { readonly kind: "udp"; readonly bytes: Uint8Array };

export interface Port {
  readonly host: string;
  readonly network: Network;
  readonly mac: number;
  receive(frame: Frame, fromMac: number): void;
}

export interface WireFaults {
  /** Shares of frames, 0 … 1. */
  loss: number;
  duplication: number;
  /** … that take up to `reorderMs` longer, so that others overtake them. */
  reorder: number;
}

const DELAY_MS = 0.1;
const JITTER_MS = 0.5;
const REORDER_MS = 30;
const HASH_START = 0x811c9dc5;
const HASH_PRIME = 0x01000193;
/** Bytes of a packet that enter the trace's hash: headers and the first chunk. */
const HASHED_BYTES_MAX = 48;

export class Wire {
  readonly faults: WireFaults = { loss: 0, duplication: 0, reorder: 0 };
  frameCount = 0;
  /** Of everything that was delivered, in order: two runs with the same hash were the same run. */
  hash = HASH_START;
  /** Looks at every frame that is delivered. */
  onFrame: ((frame: Frame, from: Port, to: Port) => void) | undefined;
  readonly #time: SimulatedTime;
  readonly #random: Random;
  readonly #ports = new Map<number, Port>();
  readonly #segments = new Map<Network, Port[]>();
  /** "host network" that is cut off. */
  readonly #cuts = new Map<string, number>();
  /** By network: its splits, each of which says which part every host is in. */
  readonly #splits = new Map<Network, Set<ReadonlyMap<string, number>>>();

  constructor(time: SimulatedTime, random: Random) {
    this.#time = time;
    this.#random = random;
  }

  plug(port: Port): void {
    if (this.#ports.has(port.mac)) throw new Error(`two ports with MAC ${port.mac}`);
    this.#ports.set(port.mac, port);
    const segment = this.#segments.get(port.network);
    if (segment === undefined) this.#segments.set(port.network, [port]);
    else segment.push(port);
  }

  /** A port's way to its segment; cuts add up. */
  cut(host: string, network: Network, isCut: boolean): void {
    const key = `${host} ${network}`;
    this.#cuts.set(key, Math.max(0, (this.#cuts.get(key) ?? 0) + (isCut ? 1 : -1)));
  }

  isCut(host: string, network: Network): boolean {
    return (this.#cuts.get(`${host} ${network}`) ?? 0) > 0;
  }

  /**
   * Hosts that are not in the map are in part 0. Joins the parts again when what it returns is called:
   * splits add up.
   */
  split(network: Network, sides: ReadonlyMap<string, number>): () => void {
    const splits = this.#splits.get(network) ?? new Set();
    const own = new Map(sides);
    this.#splits.set(network, splits.add(own));
    return () => void splits.delete(own);
  }

  send(from: Port, toMac: number, frame: Frame): void {
    const to = this.#ports.get(toMac);
    if (to !== undefined && to.network === from.network) this.#carry(from, to, frame);
  }

  broadcast(from: Port, frame: Frame): void {
    for (const to of this.#segments.get(from.network) ?? []) if (to !== from) this.#carry(from, to, frame);
  }

  joined(a: Port, b: Port): boolean {
    const { network } = a;
    if (network !== b.network || this.isCut(a.host, network) || this.isCut(b.host, network)) return false;
    for (const sides of this.#splits.get(network) ?? [])
      if ((sides.get(a.host) ?? 0) !== (sides.get(b.host) ?? 0)) return false;
    return true;
  }

  #carry(from: Port, to: Port, frame: Frame): void {
    if (!this.joined(from, to)) return;
    const { loss, duplication, reorder } = this.faults;
    const noise = this.#random.uint32();
    let delayMs = DELAY_MS + ((noise & 0xff) / 256) * JITTER_MS;
    if (loss + duplication + reorder > 0) {
      const chance = this.#random.uint32() / 2 ** 32;
      if (chance < loss) return;
      if (chance < loss + duplication) this.#deliver(from, to, frame, delayMs + ((noise >>> 8) & 0xff) / 64);
      else if (chance < loss + duplication + reorder)
        delayMs += ((noise >>> 8) & 0xffff) * (REORDER_MS / 0x10000);
    }
    this.#deliver(from, to, frame, delayMs);
  }

  #deliver(from: Port, to: Port, frame: Frame, delayMs: number): void {
    this.#time.at(this.#time.nowMs + delayMs, () => {
      // Cut while it was on its way.
      if (!this.joined(from, to)) return;
      this.frameCount++;
      this.#note(frame, from.mac, to.mac);
      this.onFrame?.(frame, from, to);
      to.receive(frame, from.mac);
    });
  }

  #note(frame: Frame, from: number, to: number): void {
    let hash = this.hash;
    const mix = (value: number) => {
      hash = Math.imul(hash ^ value, HASH_PRIME) >>> 0;
    };
    mix(Math.round(this.#time.nowMs * 1_000) | 0);
    mix(from * 65_536 + to);
    if (frame.kind === "ip") {
      const size = Math.min(frame.packet.length, HASHED_BYTES_MAX);
      mix(frame.packet.length);
      for (let i = 0; i < size; i++) mix(frame.packet[i] as number);
    }
    this.hash = hash;
  }
}

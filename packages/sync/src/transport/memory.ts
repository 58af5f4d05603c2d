// Members of one process connected by function calls, on a clock and randomness that are parameters: the
// transport of simulations and of tests. It keeps the promises of the real one (in order, authenticated, one
// link a pair, bounded queue) and breaks links where a network would. Messages travel as bytes, so that a
// simulation runs the codec too.
import type { Clock, Random, Timer } from "@holdfast/model";
import { decodePeerMessage, encodePeerMessage } from "../messages/codec.ts";
import { PEER_QUEUE_BYTES_MAX } from "../ports/limits.ts";
import type { PeerMessage } from "../ports/messages.ts";
import type { PeerIdentity, Transport, TransportHandlers } from "../ports/transport.ts";
import type { Listing } from "./settings.ts";

export interface MemoryNetworkOptions {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * Time on the wire of one message, ms. Default 0.2 to 1, drawn from `random`. Order is kept all the same.
   */
  readonly delayMs?: (from: number, to: number) => number;
  /**
   * Chance of 0 … 1 that a message breaks its connection instead of arriving: a loss that TCP cannot hide.
   */
  readonly breakChance?: number;
  /** How long both ends take to notice that a path is cut. Default 200 ms. */
  readonly detectMs?: number;
  /**
   * A receiver closes a link on which nothing came for this long, and none comes up meanwhile. Default:
   * never.
   */
  readonly silenceMs?: number;
  /** How long a pair takes to connect again. Default 50 ms. */
  readonly reconnectMs?: number;
  /** How long a refused peer stays away. Default 5,000 ms. */
  readonly refusalPauseMs?: number;
  readonly queueBytesMax?: number;
}

interface Parcel {
  readonly bytes: Uint8Array;
  readonly dueMs: number;
}

/** One direction of a link. */
interface Lane {
  parcels: Parcel[];
  head: number;
  queuedBytes: number;
  timer: Timer | undefined;
  /** Until a stall counts as silence. */
  silence: Timer | undefined;
  stalled: boolean;
}

interface Link {
  readonly a: MemoryTransport;
  readonly b: MemoryTransport;
  readonly lanes: ReadonlyMap<number, Lane>;
}

export class MemoryNetwork {
  readonly clock: Clock;
  readonly queueBytesMax: number;
  readonly #options: MemoryNetworkOptions;
  readonly #members = new Map<number, MemoryTransport>();
  readonly #links = new Map<string, Link>();
  readonly #cuts = new Set<string>();
  readonly #stalls = new Set<string>();
  readonly #connecting = new Map<string, Timer>();

  constructor(options: MemoryNetworkOptions) {
    this.#options = options;
    this.clock = options.clock;
    this.queueBytesMax = options.queueBytesMax ?? PEER_QUEUE_BYTES_MAX;
  }

  /** The transport of one member; a restarted member takes a new one. */
  transport(identity: PeerIdentity): Transport {
    return new MemoryTransport(this, identity);
  }

  /** No path between two members; what is on its way is lost, and both ends notice after `detectMs`. */
  cut(a: number, b: number): void {
    const key = pairKey(a, b);
    if (this.#cuts.has(key)) return;
    this.#cuts.add(key);
    const link = this.#links.get(key);
    if (link === undefined) return;
    for (const lane of link.lanes.values()) lane.stalled = true;
    this.clock.after(this.#options.detectMs ?? 200, () => {
      if (this.#links.get(key) === link) this.#close(link, "timeout", "timeout");
    });
  }

  heal(a: number, b: number): void {
    if (this.#cuts.delete(pairKey(a, b))) this.#reconnect(a, b);
  }

  /**
   * Splits the cluster: members of different groups cannot talk. Members that are in no group keep their
   * links.
   */
  partition(...groups: readonly (readonly number[])[]): void {
    for (const [i, group] of groups.entries())
      for (const other of groups.slice(i + 1)) for (const a of group) for (const b of other) this.cut(a, b);
  }

  healAll(): void {
    for (const key of [...this.#cuts]) {
      const [a = 0, b = 0] = key.split("-").map(Number);
      this.heal(a, b);
    }
  }

  /** Breaks a connection; both ends notice at once and connect again. */
  break(a: number, b: number, reason = "reset"): void {
    const link = this.#links.get(pairKey(a, b));
    if (link !== undefined) this.#close(link, reason, reason);
  }

  /** A slow receiver: nothing from `from` arrives at `to` until `stalled` is false; the queue fills. */
  stall(from: number, to: number, stalled: boolean): void {
    const key = `${from}>${to}`;
    const pair = pairKey(from, to);
    if (stalled) this.#stalls.add(key);
    else if (this.#stalls.delete(key) && !this.#links.has(pair)) this.#reconnect(from, to);
    const link = this.#links.get(pair);
    const lane = link?.lanes.get(from);
    if (link === undefined || lane === undefined) return;
    lane.stalled = stalled || this.#cuts.has(pair);
    if (stalled) this.#closeWhenSilent(link, lane);
    this.#pump(from, to);
  }

  #closeWhenSilent(link: Link, lane: Lane): void {
    const { silenceMs } = this.#options;
    if (silenceMs === undefined) return;
    lane.silence?.cancel();
    lane.silence = this.clock.after(silenceMs, () => {
      if (lane.stalled) this.#close(link, "silence", "silence");
    });
  }

  /** Members greet each other before a link is up. */
  #canGreet(a: number, b: number): boolean {
    return (
      this.#options.silenceMs === undefined ||
      !(this.#stalls.has(`${a}>${b}`) || this.#stalls.has(`${b}>${a}`))
    );
  }

  /** Raw bytes as if `from` had sent them: a broken or hostile member. */
  inject(from: number, to: number, bytes: Uint8Array): boolean {
    return this.#post(from, to, bytes);
  }

  /** @internal for MemoryTransport */
  join(member: MemoryTransport): void {
    const { number } = member.identity;
    const previous = this.#members.get(number);
    if (previous !== undefined) this.leave(previous, "replaced");
    this.#members.set(number, member);
    for (const other of this.#members.keys()) if (other !== number) this.#reconnect(number, other);
  }

  /** @internal */
  leave(member: MemoryTransport, reason: string): void {
    const { number } = member.identity;
    if (this.#members.get(number) !== member) return;
    this.#members.delete(number);
    for (const link of [...this.#links.values()])
      if (link.a === member || link.b === member) this.#close(link, reason, reason);
  }

  /** @internal The member's list is another one. */
  relisted(member: MemoryTransport): void {
    const { number } = member.identity;
    for (const link of [...this.#links.values()]) {
      if (link.a !== member && link.b !== member) continue;
      const other = link.a === member ? link.b : link.a;
      if (!member.lists(other.identity)) this.#close(link, "not-configured", "not-configured");
    }
    for (const other of this.#members.keys()) if (other !== number) this.#reconnect(number, other);
  }

  /** @internal */
  send(from: number, to: number, message: PeerMessage): boolean {
    return this.#links.has(pairKey(from, to)) && this.#post(from, to, encodePeerMessage(message));
  }

  /** @internal */
  queuedBytes(from: number, to: number): number {
    return this.#links.get(pairKey(from, to))?.lanes.get(from)?.queuedBytes ?? 0;
  }

  /** @internal */
  refuse(by: number, peer: number, reason: string): void {
    const link = this.#links.get(pairKey(by, peer));
    if (link !== undefined) this.#refuse(link, by, reason);
  }

  #refuse(link: Link, by: number, reason: string): void {
    const pause = this.#options.refusalPauseMs ?? 5_000;
    const byA = link.a.identity.number === by;
    this.#close(link, byA ? reason : `refused: ${reason}`, byA ? `refused: ${reason}` : reason, pause);
  }

  #reconnect(a: number, b: number, delayMs: number = this.#options.reconnectMs ?? 50): void {
    const key = pairKey(a, b);
    if (this.#connecting.has(key)) return;
    const timer = this.clock.after(delayMs, () => {
      this.#connecting.delete(key);
      const first = this.#members.get(a);
      const second = this.#members.get(b);
      if (first === undefined || second === undefined || this.#cuts.has(key) || this.#links.has(key)) return;
      if (!this.#canGreet(a, b) || !first.lists(second.identity) || !second.lists(first.identity)) return;
      const lane = (from: number, to: number): Lane => ({
        parcels: [],
        head: 0,
        queuedBytes: 0,
        timer: undefined,
        silence: undefined,
        stalled: this.#stalls.has(`${from}>${to}`),
      });
      const lanes = new Map([
        [a, lane(a, b)],
        [b, lane(b, a)],
      ]);
      this.#links.set(key, { a: first, b: second, lanes });
      first.up(second.identity);
      // The first handler may have broken the link it was just told of.
      if (this.#links.get(key)?.b === second) second.up(first.identity);
    });
    this.#connecting.set(key, timer);
  }

  #close(link: Link, reasonAtA: string, reasonAtB: string, pauseMs?: number): void {
    const a = link.a.identity.number;
    const b = link.b.identity.number;
    const key = pairKey(a, b);
    if (this.#links.get(key) !== link) return;
    this.#links.delete(key);
    for (const lane of link.lanes.values()) {
      lane.timer?.cancel();
      lane.silence?.cancel();
      lane.parcels = [];
    }
    this.#reconnect(a, b, pauseMs);
    link.a.down(link.b.identity, reasonAtA);
    link.b.down(link.a.identity, reasonAtB);
  }

  #post(from: number, to: number, bytes: Uint8Array): boolean {
    const link = this.#links.get(pairKey(from, to));
    const lane = link?.lanes.get(from);
    const sender = this.#members.get(from);
    if (link === undefined || lane === undefined || sender === undefined) return false;
    if (lane.queuedBytes + bytes.length > this.queueBytesMax) {
      lane.parcels = [];
      lane.head = 0;
      lane.queuedBytes = 0;
      const { identity } = to === link.a.identity.number ? link.a : link.b;
      // Not within send: the caller is in the middle of something.
      this.clock.after(0, () => sender.overflowed(identity));
      return false;
    }
    const { random, breakChance = 0 } = this.#options;
    if (breakChance > 0 && random.uint32() < breakChance * 0x1_0000_0000) {
      this.clock.after(0, () => this.#close(link, "reset", "reset"));
      return true;
    }
    const delay = this.#options.delayMs?.(from, to) ?? 0.2 + random.below(800) / 1000;
    const last = lane.parcels.at(-1)?.dueMs ?? 0;
    lane.parcels.push({ bytes, dueMs: Math.max(last, this.clock.nowMs() + delay) });
    lane.queuedBytes += bytes.length;
    this.#pump(from, to);
    return true;
  }

  /** Delivers what is due on one lane, and sets the timer for what is not. */
  #pump(from: number, to: number): void {
    const key = pairKey(from, to);
    const link = this.#links.get(key);
    const lane = link?.lanes.get(from);
    if (link === undefined || lane === undefined || lane.timer !== undefined || lane.stalled) return;
    const next = lane.parcels[lane.head];
    if (next === undefined) return;
    lane.timer = this.clock.after(Math.max(0, next.dueMs - this.clock.nowMs()), () => {
      lane.timer = undefined;
      while (this.#links.get(key) === link && !lane.stalled) {
        const parcel = lane.parcels[lane.head];
        if (parcel === undefined || parcel.dueMs > this.clock.nowMs()) break;
        lane.head++;
        lane.queuedBytes -= parcel.bytes.length;
        if (lane.head === lane.parcels.length || lane.head > 1_024) {
          lane.parcels = lane.parcels.slice(lane.head);
          lane.head = 0;
        }
        this.#deliver(link, from, parcel.bytes);
      }
      this.#pump(from, to);
    });
  }

  #deliver(link: Link, from: number, bytes: Uint8Array): void {
    const [sender, receiver] = link.a.identity.number === from ? [link.a, link.b] : [link.b, link.a];
    const decoded = decodePeerMessage(bytes);
    if (decoded.ok && decoded.message !== undefined) receiver.arrived(sender.identity, decoded.message);
    else if (!decoded.ok) this.#refuse(link, receiver.identity.number, decoded.reason);
  }
}

class MemoryTransport implements Transport {
  readonly identity: PeerIdentity;
  readonly #network: MemoryNetwork;
  readonly #peers = new Map<number, PeerIdentity>();
  #listed: ReadonlyMap<number, string> | undefined;
  #handlers: TransportHandlers | undefined;

  constructor(network: MemoryNetwork, identity: PeerIdentity) {
    this.#network = network;
    this.identity = identity;
  }

  start(handlers: TransportHandlers): void {
    this.#handlers = handlers;
    this.#network.join(this);
  }

  peers(): readonly PeerIdentity[] {
    return [...this.#peers.values()].sort((a, b) => a.number - b.number);
  }

  send(peer: number, message: PeerMessage): boolean {
    return this.#peers.has(peer) && this.#network.send(this.identity.number, peer, message);
  }

  queuedBytes(peer: number): number {
    return this.#network.queuedBytes(this.identity.number, peer);
  }

  refuse(peer: number, reason: string): void {
    this.#network.refuse(this.identity.number, peer, reason);
  }

  stop(): Promise<void> {
    const handlers = this.#handlers;
    this.#handlers = undefined;
    if (handlers !== undefined) this.#network.leave(this, "stopped");
    return Promise.resolve();
  }

  setMembers({ members }: Listing): void {
    this.#listed = new Map(members.map(({ name, number }) => [number, name]));
    if (this.#handlers !== undefined) this.#network.relisted(this);
  }

  /** Without a list everybody is taken. */
  lists({ name, number }: PeerIdentity): boolean {
    return this.#listed === undefined || this.#listed.get(number) === name;
  }

  up(peer: PeerIdentity): void {
    this.#peers.set(peer.number, peer);
    this.#handlers?.connected(peer);
  }

  down(peer: PeerIdentity, reason: string): void {
    if (this.#peers.delete(peer.number)) this.#handlers?.disconnected(peer, reason);
  }

  arrived(peer: PeerIdentity, message: PeerMessage): void {
    this.#handlers?.message(peer, message);
  }

  overflowed(peer: PeerIdentity): void {
    if (this.#peers.has(peer.number)) this.#handlers?.dropped(peer);
  }
}

function pairKey(a: number, b: number): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}

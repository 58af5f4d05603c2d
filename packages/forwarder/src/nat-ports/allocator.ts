// NAT ports: unique per endpoint (address, port), whatever the service and VIP. The port space is cut into slots, and
// this member allocates only in its own, so no two members can hand out the same port, also in a partition. Of slots that
// no member has every member keeps what is in use, since each has a vote (loans.ts).
import { type Address, endpointKey, memberNumberOfPort, type Place, type Random } from "@holdfast/model";
import type { ForwarderLimits } from "../limits.ts";
import { isHeldBy, type PortHolder } from "./holder.ts";
import { RestQueue } from "./rest-queue.ts";

/** Ports below are given only to clients that use them themselves. */
const PORT_MIN = 1_024;
const PORT_COUNT = 65_536;

/** Why a port came back; it decides how long it rests. */
export type ReleaseReason = "verified" | "unseen" | "evicted";

type NatPortLimits = Pick<
  ForwarderLimits,
  "natPortRestVerifiedMs" | "natPortRestUnseenMs" | "natPortRestEvictedMs" | "natPortRestEvictedLeastMs"
>;

const FREE = 0;
const USED = 1;
const RESTING = 2;
/** Resting, and taken earlier when there is nothing else. */
const EVICTED = 3;

interface PortSpace {
  /** FREE, USED, RESTING or EVICTED by port. */
  readonly state: Uint8Array;
  freeCount: number;
  usedCount: number;
  evictedCount: number;
  /** Which entry of the queues is a resting port's: one that was reserved meanwhile leaves a stale entry behind. */
  readonly resting: Map<number, number>;
  /** Where the next search without a preference begins: rotation keeps freed ports unused for as long as can be. */
  next: number;
  readonly rests: Readonly<Record<ReleaseReason, RestQueue>>;
  /** Clients whose own port a used or resting one is. */
  readonly holders: Map<number, PortHolder>;
}

/** Other endpoints that matter for a port, by the address under which their sessions are known. */
export interface NatPortNeighbours {
  /** They share an address with the endpoint, or are the same server: a port in use there is in use here. */
  readonly never: readonly Address[];
  /** They may turn out to be the same server (RFC 9260 knows it by its addresses): a port that they have not is better. */
  readonly rather: readonly Address[];
}

const NO_NEIGHBOURS: NatPortNeighbours = { never: [], rather: [] };
/** Ports looked at for one that no neighbour has. */
const RATHER_COUNT_MAX = 64;

export interface NatPortOptions {
  readonly memberNumber: number;
  /** Of all members as they are now; absent: somebody may have any slot. */
  readonly memberNumbers?: () => readonly number[];
  /** A power of two, the same at every member. */
  readonly memberNumberCount: number;
  readonly random: Random;
  readonly limits: NatPortLimits;
}

export class NatPorts {
  readonly #memberNumber: number;
  readonly #stride: number;
  readonly #limits: NatPortLimits;
  /** Secret, so that nobody outside can aim at a port. */
  readonly #seed: number;
  readonly #spaces = new Map<string, PortSpace>();
  /** Of slots that no member has: nothing is allocated in them. */
  readonly #commons = new Map<string, PortSpace>();
  readonly #memberNumbers: (() => readonly number[]) | undefined;
  /** As they were when they were looked at last. */
  #numbers: readonly number[] | undefined;
  #restSequence = 0;

  constructor(options: NatPortOptions) {
    this.#memberNumber = options.memberNumber;
    this.#stride = options.memberNumberCount;
    this.#limits = options.limits;
    this.#seed = options.random.uint32();
    this.#memberNumbers = options.memberNumbers;
  }

  isOwn(natPort: number): boolean {
    return memberNumberOfPort(natPort, this.#stride) === this.#memberNumber;
  }

  /** How many ports this member has toward each endpoint. */
  get ownCount(): number {
    return (PORT_COUNT - PORT_MIN) / this.#stride;
  }

  /** One of this member's ports, whichever number: they go round. */
  ownPort(index: number): number {
    const count = (PORT_COUNT - PORT_MIN) / this.#stride;
    return PORT_MIN + this.#memberNumber + (index % count) * this.#stride;
  }

  /** Whether this member keeps what becomes of the port: its own, and those of slots that nobody has. */
  tracks(natPort: number): boolean {
    return this.isOwn(natPort) || this.#isCommon(natPort);
  }

  #isCommon(natPort: number): boolean {
    const numbers = this.#memberNumbers?.();
    if (numbers !== this.#numbers) this.#relist(numbers ?? []);
    return numbers?.includes(memberNumberOfPort(natPort, this.#stride)) === false;
  }

  /**
   * The members are others. Whoever has a slot now keeps its books; a slot that somebody had is never
   * nobody's again.
   */
  #relist(numbers: readonly number[]): void {
    this.#numbers = numbers;
    for (const space of this.#commons.values())
      for (const number of numbers)
        for (let port = number; port < PORT_COUNT; port += this.#stride) this.#forget(space, port);
  }

  #forget(space: PortSpace, port: number): void {
    const state = space.state[port];
    if (state === FREE) return;
    if (state === USED) space.usedCount -= 1;
    if (state === EVICTED) space.evictedCount -= 1;
    space.state[port] = FREE;
    space.resting.delete(port);
    space.holders.delete(port);
    if (port >= PORT_MIN) space.freeCount += 1;
  }

  /** Takes exactly this port, when it is free, or rests since the same client had it: from its own port it comes back. */
  take(
    place: Place,
    holder: PortHolder,
    source: Address,
    nowMs: number,
    never: NatPortNeighbours["never"] = [],
  ): boolean {
    const { endpoint, endpointPort, natPort } = place;
    if (natPort === 0 || !this.tracks(natPort)) return false;
    const spaces = this.#isCommon(natPort) ? this.#commons : this.#spaces;
    const neighbours = this.#spacesOf(never, endpointPort, spaces);
    const space = this.#space(endpoint, endpointPort, spaces);
    for (const one of [space, ...neighbours]) this.#wake(one, nowMs);
    if (!isFreeAt(neighbours, natPort)) return false;
    const state = space.state[natPort];
    if (state === USED) return false;
    const last = space.holders.get(natPort);
    if (state !== FREE && (last === undefined || !isHeldBy(last, holder.serviceId, source))) return false;
    this.#use(space, natPort);
    space.holders.set(natPort, holder);
    return true;
  }

  /**
   * A port of this member's slots toward the endpoint, or undefined when all are in use or resting: the client's own
   * (0: not that one) when it is ours and free, else one from a search that begins at a place keyed by client and service.
   */
  allocate(
    endpoint: Address,
    endpointPort: number,
    clientPort: number,
    probeKey: string,
    nowMs: number,
    neighbours: NatPortNeighbours = NO_NEIGHBOURS,
  ): number | undefined {
    const space = this.#space(endpoint, endpointPort);
    this.#wake(space, nowMs);
    const never = this.#spacesOf(neighbours.never, endpointPort);
    for (const neighbour of never) this.#wake(neighbour, nowMs);
    const isFree = (port: number) => space.state[port] === FREE && isFreeAt(never, port);
    if (clientPort !== 0 && this.isOwn(clientPort) && isFree(clientPort))
      return this.#takeFree(space, clientPort);
    const rather = this.#spacesOf(neighbours.rather, endpointPort);
    const port =
      (rather.length === 0
        ? undefined
        : this.#search(space, probeKey, (p) => isFree(p) && isFreeAt(rather, p), RATHER_COUNT_MAX)) ??
      this.#search(space, probeKey, isFree, PORT_COUNT);
    if (port !== undefined) return port;
    // Nothing is left: evicted embryos' ports are the least bad, those that are old enough at least.
    const before = nowMs - this.#limits.natPortRestEvictedLeastMs;
    for (;;) {
      const evicted = this.#takeRested(space, space.rests.evicted, before);
      if (evicted === undefined) return undefined;
      if (isFreeAt(never, evicted)) {
        space.state[evicted] = USED;
        space.usedCount += 1;
        space.holders.delete(evicted);
        return evicted;
      }
      space.state[evicted] = FREE;
      space.holders.delete(evicted);
      if (evicted >= PORT_MIN) space.freeCount += 1;
    }
  }

  /** Marks a port as used: rebuilt from flows and replicas after a restart. Other members' ports are ignored. */
  reserve(endpoint: Address, endpointPort: number, natPort: number): void {
    if (!this.tracks(natPort) || natPort === 0) return;
    const space = this.#spaceFor(endpoint, endpointPort, natPort);
    if (space.state[natPort] !== USED) this.#use(space, natPort);
  }

  #use(space: PortSpace, natPort: number): void {
    const state = space.state[natPort];
    if (state === FREE && natPort >= PORT_MIN) space.freeCount -= 1;
    if (state === EVICTED) space.evictedCount -= 1;
    space.resting.delete(natPort);
    space.state[natPort] = USED;
    space.usedCount += 1;
  }

  /** Ports toward the endpoint that newcomers may get: free ones, and those of evicted embryos, rested or not. */
  available(endpoint: Address, endpointPort: number): number {
    const space = this.#spaces.get(endpointKey({ address: endpoint, port: endpointPort }));
    return space === undefined ? PORT_COUNT / this.#stride : space.freeCount + space.evictedCount;
  }

  /** Of each endpoint, ADDRESS|PORT, the share of this member's ports that nobody new may get: 0 … 1. */
  *shares(): Generator<readonly [endpoint: string, share: number]> {
    const count = (PORT_COUNT - PORT_MIN) / this.#stride;
    for (const [endpoint, { freeCount, evictedCount }] of this.#spaces)
      yield [endpoint, 1 - (freeCount + evictedCount) / count];
  }

  isUsed(endpoint: Address, endpointPort: number, natPort: number): boolean {
    const spaces = this.#isCommon(natPort) ? this.#commons : this.#spaces;
    return spaces.get(endpointKey({ address: endpoint, port: endpointPort }))?.state[natPort] === USED;
  }

  /** Gives a port back; it rests before anybody but `holder` gets it again. Twice is harmless. */
  release(
    endpoint: Address,
    endpointPort: number,
    natPort: number,
    reason: ReleaseReason,
    nowMs: number,
    holder?: PortHolder,
  ): void {
    const spaces = this.#isCommon(natPort) ? this.#commons : this.#spaces;
    const space = spaces.get(endpointKey({ address: endpoint, port: endpointPort }));
    if (space === undefined || space.state[natPort] !== USED) return;
    if (holder !== undefined) space.holders.set(natPort, holder);
    space.state[natPort] = reason === "evicted" ? EVICTED : RESTING;
    space.usedCount -= 1;
    if (reason === "evicted") space.evictedCount += 1;
    space.resting.set(natPort, ++this.#restSequence);
    space.rests[reason].add(natPort, this.#restSequence, nowMs);
  }

  /** Of the slot of a number that no member has: how long its last port still rests, ms. */
  restMs(memberNumber: number, nowMs: number): number {
    const periods: Readonly<Record<ReleaseReason, number>> = {
      verified: this.#limits.natPortRestVerifiedMs,
      unseen: this.#limits.natPortRestUnseenMs,
      evicted: this.#limits.natPortRestEvictedMs,
    };
    let restMs = 0;
    for (const { rests, resting } of this.#commons.values())
      for (const reason of ["verified", "unseen", "evicted"] as const)
        for (const { port, sequence, sinceMs } of rests[reason].entries())
          if (memberNumberOfPort(port, this.#stride) === memberNumber && resting.get(port) === sequence)
            restMs = Math.max(restMs, sinceMs + periods[reason] - nowMs);
    return restMs;
  }

  /** Used and resting ports of all endpoints, for metrics. */
  counts(): { readonly used: number; readonly resting: number } {
    const numbers = this.#memberNumbers?.();
    if (numbers !== this.#numbers) this.#relist(numbers ?? []);
    let used = 0;
    let resting = 0;
    for (const space of [...this.#spaces.values(), ...this.#commons.values()]) {
      used += space.usedCount;
      resting += space.resting.size;
    }
    return { used, resting };
  }

  #spaceFor(endpoint: Address, endpointPort: number, natPort: number): PortSpace {
    return this.#space(endpoint, endpointPort, this.#isCommon(natPort) ? this.#commons : this.#spaces);
  }

  #space(endpoint: Address, endpointPort: number, spaces = this.#spaces): PortSpace {
    const key = endpointKey({ address: endpoint, port: endpointPort });
    let space = spaces.get(key);
    if (space === undefined) {
      space = {
        state: new Uint8Array(PORT_COUNT),
        freeCount: (PORT_COUNT - PORT_MIN) / this.#stride,
        usedCount: 0,
        evictedCount: 0,
        next: 0,
        resting: new Map(),
        rests: { verified: new RestQueue(), unseen: new RestQueue(), evicted: new RestQueue() },
        holders: new Map(),
      };
      spaces.set(key, space);
    }
    return space;
  }

  /** What is kept of other endpoints; nothing of those that have no ports in use. */
  #spacesOf(endpoints: readonly Address[], port: number, spaces = this.#spaces): PortSpace[] {
    return endpoints.flatMap((endpoint) => spaces.get(endpointKey({ address: endpoint, port })) ?? []);
  }

  #search(
    space: PortSpace,
    probeKey: string,
    isFree: (port: number) => boolean,
    stepCountMax: number,
  ): number | undefined {
    if (space.freeCount === 0) return undefined;
    const count = (PORT_COUNT - PORT_MIN) / this.#stride;
    const first = PORT_MIN + this.#memberNumber;
    let index = (keyedHash(this.#seed, probeKey) + space.next) % count;
    for (let step = 0; step < Math.min(count, stepCountMax); step++) {
      const port = first + index * this.#stride;
      if (isFree(port)) {
        space.next = (space.next + 1) % count;
        return this.#takeFree(space, port);
      }
      index = index + 1 === count ? 0 : index + 1;
    }
    return undefined;
  }

  #takeFree(space: PortSpace, port: number): number {
    space.state[port] = USED;
    space.usedCount += 1;
    if (port >= PORT_MIN) space.freeCount -= 1;
    return port;
  }

  #wake(space: PortSpace, nowMs: number): void {
    this.#wakeQueue(space, space.rests.verified, nowMs - this.#limits.natPortRestVerifiedMs);
    this.#wakeQueue(space, space.rests.unseen, nowMs - this.#limits.natPortRestUnseenMs);
    this.#wakeQueue(space, space.rests.evicted, nowMs - this.#limits.natPortRestEvictedMs);
  }

  #wakeQueue(space: PortSpace, queue: RestQueue, beforeMs: number): void {
    for (;;) {
      const port = this.#takeRested(space, queue, beforeMs);
      if (port === undefined) return;
      space.state[port] = FREE;
      space.holders.delete(port);
      if (port >= PORT_MIN) space.freeCount += 1;
    }
  }

  /** The longest resting port of the queue, no longer resting. */
  #takeRested(space: PortSpace, queue: RestQueue, beforeMs: number): number | undefined {
    for (let rest = queue.takeOlderThan(beforeMs); rest !== undefined; rest = queue.takeOlderThan(beforeMs)) {
      if (space.resting.get(rest.port) !== rest.sequence) continue;
      space.resting.delete(rest.port);
      if (space.state[rest.port] === EVICTED) space.evictedCount -= 1;
      return rest.port;
    }
    return undefined;
  }
}

function isFreeAt(spaces: readonly PortSpace[], port: number): boolean {
  return spaces.every(({ state }) => state[port] === FREE);
}

/** FNV-1a over the text with a secret start, then mixed: a cheap keyed hash, not a cryptographic one. */
export function keyedHash(seed: number, text: string): number {
  let hash = seed | 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x21f0aaad);
  hash = Math.imul(hash ^ (hash >>> 15), 0x735a2d97);
  return (hash ^ (hash >>> 15)) >>> 0;
}

// Services of TCP with `stateless: true`: connections are prepared here, and the fast path begins each with
// the client's SYN by itself (docs/decisions/0551). What becomes of them is looked at by and by: what is over
// is cleared away, what has lived a while becomes a session as any other, and so does what the slow path is
// sent a packet of.
import {
  type Address,
  type Endpoint,
  endpointKey,
  PROTOCOL_TCP,
  REPLICATE_AFTER_DEFAULT_MS,
  type Service,
} from "@holdfast/model";
import type { PlainEntry, PlainLife } from "../../fast-path/plain.ts";
import { lifeOf } from "../../fast-path/plain-life.ts";
import type { FlowKey } from "../../fast-path/port.ts";
import { Fifo } from "../../fifo.ts";
import type { ServiceEntry } from "../../services/registry.ts";
import { OfferPorts } from "./offer-ports.ts";
import { factsOf, type Ring, ringOf, sourcesOf } from "./offer-ring.ts";
import { adoptOffered, downKeyOf, type Entries, type Offered, verdictOn } from "./offered.ts";
import { countAt, publish, type Room, type Side } from "./room.ts";

/** … and wanted, however few the fast path takes in. */
const WAITING_COUNT_LEAST = 16;
/** Connections looked at in one turn. */
const LOOK_COUNT_MAX = 1_024;
/** Between two turns while connections come; otherwise housekeeping's. */
const BUSY_PERIOD_MS = 20;
/** Between two turns for SYNs that found no offer. */
const HURRY_PERIOD_MS = 2;
/** What was withdrawn, and may have been taken at the same moment. */
const LIMBO_MS = 1_000;

export class Offering {
  readonly #of: () => Room;
  readonly #side: Side;
  readonly #ports: OfferPorts;
  readonly #rings = new Map<string, Ring>();
  readonly #offered = new Map<number, Offered>();
  readonly #limbo = new Fifo<Offered>();
  #isBusy = false;
  #isStopped = false;
  #hurriedMs = Number.NEGATIVE_INFINITY;

  /** `room`: which this is a part of. */
  constructor(room: () => Room, side: Side) {
    this.#of = room;
    this.#side = side;
    this.#ports = new OfferPorts(room, side);
  }

  get #room(): Room {
    return this.#of();
  }

  get waitingCount(): number {
    let sum = 0;
    for (const { waiting } of this.#rings.values()) sum += waiting.size;
    return sum;
  }

  /** Taken, and no sessions as yet. */
  get takenCount(): number {
    return this.#offered.size - this.waitingCount;
  }

  has(session: number): boolean {
    return this.#offered.has(session);
  }

  /** Before services change: what does not fit any more is withdrawn. */
  follow(services: readonly Service[]): void {
    for (const [key, ring] of this.#rings) {
      const { vip, port } = ring.service;
      const service = services.find(
        (each) => each.protocol === PROTOCOL_TCP && each.port === port && each.vips.includes(vip),
      );
      if (service === undefined || factsOf(service) !== ring.facts) this.#close(key, ring, true);
    }
  }

  /** An endpoint was called down. */
  leave(endpoint: Address, port: number): void {
    for (const [key, ring] of this.#rings) {
      const isOne = (each: Endpoint) =>
        each.port === port && this.#side.registry.configuredOf(each).includes(endpoint);
      if (ring.entry.service.endpoints.some(isOne)) this.#close(key, ring, false);
    }
  }

  /** One bounded turn. */
  tick(nowMs: number): void {
    const { plain } = this.#room.core.fastPath;
    if (plain.offers === undefined || this.#isStopped) return;
    this.#openRings();
    let isBusy = false;
    for (const [key, ring] of this.#rings) {
      if (!this.#isServed(ring.service.vip)) {
        this.#close(key, ring, true);
        continue;
      }
      isBusy = this.#take(ring, nowMs) > 0 || isBusy;
      this.#look(ring, nowMs);
      this.#fill(ring);
    }
    this.#clearLimbo(nowMs);
    this.#ports.expire(nowMs);
    if (isBusy) this.#comeSoon();
  }

  /**
   * A SYN to such a service came to the slow path: perhaps all offers are taken. Those behind it take new
   * ones, instead of keeping the slow path from making any.
   */
  hurry({ service: { port } }: ServiceEntry, vip: Address): void {
    const nowMs = this.#room.core.clock.nowMs();
    if (nowMs - this.#hurriedMs < HURRY_PERIOD_MS) return;
    const ring = this.#rings.get(endpointKey({ address: vip, port }));
    if (ring === undefined || !this.#isServed(vip)) return;
    this.#hurriedMs = nowMs;
    if (this.#take(ring, nowMs) === 0) return;
    this.#fill(ring);
    this.#comeSoon();
  }

  #comeSoon(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#room.core.clock.after(BUSY_PERIOD_MS, () => {
      this.#isBusy = false;
      this.tick(this.#room.core.clock.nowMs());
    });
  }

  /** A packet of one came here: it is a flow as any other from now on. */
  adopt(session: number): void {
    const offered = this.#offered.get(session);
    if (offered !== undefined) this.#adopt(offered, this.#entryOf(offered)?.up);
  }

  /** … as `adopt`, of whatever the fast path has under a key. */
  adoptAt(key: FlowKey): void {
    if (this.#offered.size === 0) return;
    const session = this.#room.core.fastPath.plain.read(key)?.flow.session;
    if (session !== undefined) this.adopt(session);
  }

  /** … and of an endpoint's that has this NAT port, from whatever address it was talked to. */
  adoptToward(endpoint: Address, endpointPort: number, natPort: number): void {
    if (this.#offered.size === 0) return;
    // Not of rings: where the VIP has gone they are closed, and what was taken from them may open yet.
    const entries = [...this.#side.registry.entries].filter(({ service }) => service.stateless === true);
    const sources = new Set(entries.flatMap(sourcesOf));
    for (const source of sources)
      this.adoptAt(downKeyOf({ session: 0, endpoint, endpointPort, natPort, source }));
  }

  /** VIPs are handed over: all that is open is to be known to others. */
  adoptAll(): void {
    const nowMs = this.#room.core.clock.nowMs();
    for (const [key, ring] of this.#rings)
      if (!this.#isServed(ring.service.vip)) this.#close(key, ring, true);
      else {
        this.#take(ring, nowMs);
        for (const offered of ring.taken.takeAll()) if (!this.#settle(offered)) ring.taken.add(offered);
      }
  }

  /** Nothing more is begun; what was begun goes on. */
  stop(): void {
    for (const [key, ring] of this.#rings) this.#close(key, ring, false);
    this.#isStopped = true;
  }

  #isServed(vip: Address): boolean {
    return this.#room.core.isReady() && this.#room.core.ownsVip(vip);
  }

  #openRings(): void {
    for (const entry of this.#side.registry.entries) {
      const { service } = entry;
      if (service.stateless !== true || service.removal !== undefined) continue;
      for (const vip of service.vips) {
        const key = endpointKey({ address: vip, port: service.port });
        const ring = this.#rings.get(key);
        if (ring !== undefined) ring.entry = entry;
        else if (this.#isServed(vip)) this.#rings.set(key, ringOf(entry, vip));
      }
    }
  }

  /** Those that the fast path has taken since; how many. */
  #take({ service, waiting, taken }: Ring, nowMs: number): number {
    const left = this.#room.core.fastPath.plain.offers?.left(service) ?? waiting.size;
    const count = waiting.size - left;
    for (let i = 0; i < count; i++) {
      const offered = waiting.shift();
      if (offered === undefined) break;
      offered.takenMs = nowMs;
      offered.lookedMs = nowMs;
      taken.add(offered);
    }
    if (count > 0) this.#room.core.counters.count("connections-begun", count);
    return Math.max(0, count);
  }

  #look(ring: Ring, nowMs: number): void {
    const due: Offered[] = [];
    while (due.length < LOOK_COUNT_MAX) {
      const { first } = ring.taken;
      if (first === undefined || nowMs - first.lookedMs < ring.periodMs) break;
      ring.taken.shift();
      if (this.#offered.has(first.session)) due.push(first);
    }
    const { fastPath } = this.#room.core;
    if (due.length === 0) return;
    fastPath.plain.review?.(due, (offered, life) => {
      const next = this.#judge(offered, life, ring, nowMs);
      if (next !== "again") return next;
      offered.lookedMs = nowMs;
      ring.taken.add(offered);
      return "keep";
    });
  }

  /** "again": it is to be looked at once more; else what becomes of its entries. */
  #judge(
    offered: Offered,
    life: PlainLife | undefined,
    ring: Ring,
    nowMs: number,
  ): "again" | "keep" | "remove" {
    const { counters, limits, fastPath } = this.#room.core;
    if (life === undefined) {
      // Nothing came of it: it had no room in the table, for one.
      this.#forget(offered, "evicted");
      return "keep";
    }
    const verdict = verdictOn(life, fastPath.nowMs());
    const ageMs = nowMs - offered.takenMs;
    if (verdict === "opening" || verdict === "answered") {
      const isOverdue = ageMs >= (verdict === "opening" ? limits.initTimeoutMs : limits.handshakeTimeoutMs);
      const isInTheWay = ring.isShort && ageMs >= limits.embryoEvictableMs;
      if (!isOverdue && !isInTheWay) return "again";
      counters.count(isOverdue ? "embryos-expired" : "embryos-evicted");
      this.#forget(offered, "evicted");
      return "remove";
    }
    if (!offered.isOpen) {
      offered.isOpen = true;
      counters.count("connections-opened");
    }
    if (verdict === "over") {
      this.#forget(offered, "closed");
      return "remove";
    }
    const afterMs = ring.entry.service.replicateAfterMs ?? REPLICATE_AFTER_DEFAULT_MS;
    if (verdict === "closing" || ageMs < afterMs) return "again";
    const flow = this.#adopt(offered, this.#entryOf(offered)?.up);
    if (flow !== undefined) publish(this.#room, flow);
    return "keep";
  }

  #fill(ring: Ring): void {
    const { plain } = this.#room.core.fastPath;
    const missing = ring.wanted - ring.waiting.size;
    if (missing * 4 < ring.wanted) return;
    // None is left: nobody knows how many more would have been taken.
    const isDry = ring.waiting.size === 0 && ring.taken.size > 0;
    const growth = isDry ? 8 : ring.waiting.size * 2 < ring.wanted ? 2 : 1;
    ring.wanted = Math.min(ring.most, ring.wanted * growth);
    const most = this.#room.core.limits.embryoCountMaxPerService;
    const count = Math.min(ring.wanted - ring.waiting.size, most - ring.taken.size);
    const full = new Set<Endpoint>();
    const offers: Offered[] = [];
    while (offers.length < count) {
      const offered = this.#make(ring, full);
      if (offered === undefined) break;
      offers.push(offered);
    }
    ring.isShort = offers.length < ring.wanted - ring.waiting.size;
    if (offers.length === 0) return;
    const accepted = plain.offers?.offer(ring.service, offers) ?? 0;
    for (const [index, offered] of offers.entries())
      if (index < accepted) ring.waiting.add(offered);
      else this.#forget(offered, "evicted");
    if (accepted === offers.length) return;
    ring.most = Math.max(WAITING_COUNT_LEAST, ring.waiting.size);
    ring.wanted = ring.most;
  }

  #make(ring: Ring, full: Set<Endpoint>): Offered | undefined {
    const { vip } = ring.service;
    const place = this.#ports.place(ring.entry, vip, full);
    if (place === undefined) return undefined;
    const { endpoint, endpointPort, natPort, source } = place;
    const offered: Offered = {
      session: this.#room.flows.freeHandle(),
      ...{ endpoint, endpointPort, natPort, source: source ?? vip, vip, serviceId: ring.entry.service.id },
      ...{ takenMs: 0, lookedMs: 0, isOpen: false },
    };
    this.#offered.set(offered.session, offered);
    countAt(this.#side, offered, 1);
    return offered;
  }

  #entryOf(offered: Offered): Entries | undefined {
    const { plain } = this.#room.core.fastPath;
    const down = plain.read(downKeyOf(offered));
    if (down?.flow.session !== offered.session) return undefined;
    const { newSource, newDestination, newSourcePort, newDestinationPort } = down.flow;
    const up = plain.read({
      ...{ protocol: PROTOCOL_TCP, source: newDestination, destination: newSource },
      ...{ sourcePort: newDestinationPort, destinationPort: newSourcePort },
    });
    return up?.flow.session === offered.session ? { up, down } : undefined;
  }

  #adopt(offered: Offered, up: PlainEntry | undefined) {
    if (up === undefined || !this.#drop(offered)) return undefined;
    return adoptOffered(this.#room, offered, up);
  }

  /**
   * It is a flow as any other from now on, if anything came of it. false: nobody has answered it as yet; a
   * flood of those makes no flows.
   */
  #settle(offered: Offered): boolean {
    if (!this.#offered.has(offered.session)) return true;
    const entry = this.#entryOf(offered);
    if (entry === undefined) this.#forget(offered, "evicted");
    else {
      const verdict = verdictOn(lifeOf(entry.up, entry.down), this.#room.core.fastPath.nowMs());
      if (verdict === "opening") return false;
      if (verdict === "over") this.#clear(offered, entry, "closed");
      else this.#adopt(offered, entry.up);
    }
    return true;
  }

  #clear(offered: Offered, { up, down }: Entries, how: "closed" | "evicted"): void {
    const { plain } = this.#room.core.fastPath;
    for (const { flow } of [up, down]) plain.remove(flow.key, offered.session);
    this.#forget(offered, how);
  }

  #forget(offered: Offered, how: "closed" | "evicted"): void {
    if (!this.#drop(offered)) return;
    const { endpoint, endpointPort, natPort, source, vip } = offered;
    const place = { endpoint, endpointPort, natPort, source: source === vip ? undefined : source };
    if (how === "closed") this.#ports.rest(place);
    else this.#ports.free(place, "evicted");
  }

  #drop(offered: Offered): boolean {
    if (!this.#offered.delete(offered.session)) return false;
    countAt(this.#side, offered, -1);
    return true;
  }

  /** `isOver`: what it has begun becomes flows as any others. */
  #close(key: string, ring: Ring, isOver: boolean): void {
    this.#rings.delete(key);
    const nowMs = this.#room.core.clock.nowMs();
    const untaken = new Set(this.#room.core.fastPath.plain.offers?.withdraw(ring.service) ?? []);
    for (const offered of ring.waiting.takeAll()) {
      offered.takenMs = nowMs;
      if (untaken.has(offered.session)) this.#limbo.add(offered);
      else ring.taken.add(offered);
    }
    for (const offered of ring.taken.takeAll())
      if (!isOver || !this.#settle(offered)) this.#limbo.add(offered);
  }

  /** Until it is certain that nothing came of them. */
  #clearLimbo(nowMs: number): void {
    for (let i = 0; i < LOOK_COUNT_MAX; i++) {
      const first = this.#limbo.first;
      if (first === undefined || nowMs - first.takenMs < LIMBO_MS) return;
      this.#limbo.shift();
      if (this.#settle(first)) continue;
      const entry = this.#entryOf(first);
      if (entry !== undefined) this.#clear(first, entry, "evicted");
    }
  }
}

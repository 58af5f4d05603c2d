// Queues of offers, from which the programs take, and the ways to clients that they take them for:
// docs/decisions/0541.
import { type Address, addressBytes, endpointKey } from "@holdfast/model";
import { Fifo } from "../../fifo.ts";
import { libbpf } from "../../kernel/libbpf.ts";
import { ERRNO, errnoName, libc } from "../../kernel/libc.ts";
import { GIVES_WAY_MS, type OfferedService, type PlainOffer, type PlainOffers } from "../plain.ts";
import { LIMITS, OFFER, OFFERED, WAY_KEY } from "./abi.ts";
import type { KernelClock } from "./kernel-clock.ts";
import { mappedAddress } from "./local-tables.ts";
import { type NexthopTable, UNRESOLVED } from "./nexthops.ts";

const MAP_TYPE_QUEUE = 22;
const ANY = 0;
/**
 * What was made with a way that is forgotten has its next hop meanwhile, or is gone: longer than handshakes
 * last.
 */
const WAY_REST_MS = 300_000;

interface Queue {
  readonly service: OfferedService;
  readonly fd: number;
  /** By session, in the order in which they are taken; those that were taken may still be there. */
  readonly offers: Map<number, PlainOffer>;
}

type Nexthops = Pick<NexthopTable, "indexOf" | "hold" | "release">;

export class PlainOfferQueues implements PlainOffers {
  /** Programs may have made flows of some, even if none is left. */
  wereMade = false;
  /** Of offers that are made from now on. */
  givesWayMs = GIVES_WAY_MS;
  readonly #fds: { readonly offers: number; readonly ways: number };
  readonly #nexthops: Nexthops;
  readonly #nowMs: () => number;
  readonly #frequency: number;
  readonly #queues = new Map<string, Queue>();
  /** Next hops by key, the one known longest first. */
  readonly #ways = new Map<string, number>();
  /** Next hops of ways that were forgotten, the earliest first. */
  readonly #resting = new Fifo<{ readonly nexthop: number; readonly sinceMs: number }>();
  readonly #value = Buffer.alloc(OFFER.SIZE);

  constructor(
    fds: { readonly offers: number; readonly ways: number },
    nexthops: Nexthops,
    clock: Pick<KernelClock, "frequency">,
    nowMs: () => number,
  ) {
    this.#fds = fds;
    this.#nexthops = nexthops;
    this.#nowMs = nowMs;
    this.#frequency = clock.frequency;
  }

  offer(service: OfferedService, offers: readonly PlainOffer[]): number {
    if (offers.length === 0) return 0;
    this.wereMade = true;
    const queue = this.#queueOf(service);
    let count = 0;
    for (const offer of offers) {
      if (!this.#push(queue, offer)) break;
      count += 1;
    }
    return count;
  }

  left(service: OfferedService): number {
    const queue = this.#queues.get(textOf(service));
    if (queue === undefined) return 0;
    const isEmpty = libbpf().lookup(queue.fd, null, this.#value) !== 0;
    const first = isEmpty ? undefined : this.#value.readUInt32LE(OFFER.session);
    for (const session of queue.offers.keys()) {
      if (session === first) break;
      queue.offers.delete(session);
    }
    return queue.offers.size;
  }

  withdraw(service: OfferedService): readonly number[] {
    const queue = this.#queues.get(textOf(service));
    if (queue === undefined) return [];
    this.#queues.delete(textOf(service));
    // The kernel waits until no program has the queue any more.
    libbpf().remove(this.#fds.offers, keyOf(service));
    const sessions = this.#popAll(queue);
    libc().close(queue.fd);
    return sessions;
  }

  meet({ vip, port }: OfferedService, client: Address): void {
    if (this.#queues.size === 0 || !this.#queues.has(textOf({ vip, port }))) return;
    const nexthop = this.#nexthops.indexOf(vip, client, "down");
    if (nexthop === UNRESOLVED) return;
    const key = wayKeyOf(vip, client);
    const text = key.toString("latin1");
    if (this.#ways.get(text) === nexthop) return;
    this.#release();
    this.#forget(text);
    if (this.#ways.size >= LIMITS.WAY_COUNT_MAX) this.#forget(this.#ways.keys().next().value as string);
    const value = Buffer.alloc(4);
    value.writeUInt32LE(nexthop);
    if (libbpf().update(this.#fds.ways, key, value, ANY) !== 0) return;
    this.#ways.set(text, nexthop);
    this.#nexthops.hold(nexthop);
  }

  /** Routes have changed. */
  repoint(): void {
    for (const text of [...this.#ways.keys()]) this.#forget(text);
    for (const queue of this.#queues.values()) {
      const offers = new Map(queue.offers);
      for (const session of this.#popAll(queue)) {
        const offer = offers.get(session);
        if (offer !== undefined) this.#push(queue, offer);
      }
    }
  }

  close(): void {
    for (const { service } of [...this.#queues.values()]) this.withdraw(service);
    for (const text of [...this.#ways.keys()]) this.#forget(text);
  }

  #queueOf(service: OfferedService): Queue {
    const text = textOf(service);
    const known = this.#queues.get(text);
    if (known !== undefined) return known;
    const fd = libbpf().mapCreate(MAP_TYPE_QUEUE, "hf_offer", 0, OFFER.SIZE, LIMITS.OFFER_COUNT_MAX, null);
    if (fd < 0) throw new Error(`making a queue of offers failed with ${errnoName(fd)}`);
    const value = Buffer.alloc(4);
    value.writeUInt32LE(fd);
    const result = libbpf().update(this.#fds.offers, keyOf(service), value, ANY);
    if (result !== 0) {
      libc().close(fd);
      throw new Error(`adding a queue of offers failed with ${errnoName(result)}`);
    }
    const queue = { service, fd, offers: new Map<number, PlainOffer>() };
    this.#queues.set(text, queue);
    return queue;
  }

  /** false: there is no room. */
  #push({ service, fd, offers }: Queue, offer: PlainOffer): boolean {
    const [endpoint, source] = [addressBytes(offer.endpoint), addressBytes(offer.source)];
    if (endpoint.length !== addressBytes(service.vip).length || source.length !== endpoint.length)
      throw new Error(`offer mixes address families: ${offer.source} to ${offer.endpoint}`);
    const value = this.#value.fill(0);
    value.set(endpoint, OFFER.endpoint);
    value.set(source, OFFER.source);
    value.writeUInt16BE(offer.endpointPort, OFFER.endpointPort);
    value.writeUInt16BE(offer.natPort, OFFER.natPort);
    value.writeUInt32LE(offer.session >>> 0, OFFER.session);
    const nexthop = this.#nexthops.indexOf(offer.source, offer.endpoint, "up");
    value.writeUInt16LE(nexthop, OFFER.nexthop);
    value.writeUInt16LE(Math.floor((this.givesWayMs * this.#frequency) / 1_000), OFFER.reuse);
    const result = libbpf().update(fd, null, value, ANY);
    if (-result === ERRNO["E2BIG"]) return false;
    if (result !== 0) throw new Error(`offering failed with ${errnoName(result)}`);
    // Whoever takes it has it from here.
    this.#nexthops.hold(nexthop);
    offers.delete(offer.session);
    offers.set(offer.session, offer);
    return true;
  }

  /** Sessions of what nobody has taken. */
  #popAll({ fd, offers }: Queue): number[] {
    const sessions: number[] = [];
    while (libbpf().pop(fd, null, this.#value) === 0) {
      sessions.push(this.#value.readUInt32LE(OFFER.session));
      this.#nexthops.release(this.#value.readUInt16LE(OFFER.nexthop));
    }
    offers.clear();
    return sessions;
  }

  #forget(text: string): void {
    const nexthop = this.#ways.get(text);
    if (nexthop === undefined) return;
    this.#ways.delete(text);
    libbpf().remove(this.#fds.ways, Buffer.from(text, "latin1"));
    this.#resting.add({ nexthop, sinceMs: this.#nowMs() });
  }

  #release(): void {
    const nowMs = this.#nowMs();
    for (let { first } = this.#resting; first !== undefined; { first } = this.#resting) {
      if (nowMs - first.sinceMs < WAY_REST_MS) return;
      this.#resting.shift();
      this.#nexthops.release(first.nexthop);
    }
  }
}

function textOf({ vip, port }: OfferedService): string {
  return endpointKey({ address: vip, port });
}

function keyOf({ vip, port }: OfferedService): Buffer {
  const key = Buffer.alloc(OFFERED.SIZE);
  key.set(mappedAddress(vip), OFFERED.vip);
  key.writeUInt16BE(port, OFFERED.port);
  return key;
}

function wayKeyOf(vip: Address, client: Address): Buffer {
  const key = Buffer.alloc(WAY_KEY.SIZE);
  key.set(mappedAddress(vip), WAY_KEY.vip);
  key.set(mappedAddress(client), WAY_KEY.client);
  return key;
}

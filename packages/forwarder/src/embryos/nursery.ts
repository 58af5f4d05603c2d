// All embryos of this member, with quotas: a flood of INITs, spoofed or not, must leave room for genuine
// clients and for everything that is established.
import {
  type Address,
  type Endpoint,
  familyOf,
  type ServiceId,
  type SessionQuestion,
  type Tag,
} from "@holdfast/model";
import type { ForwarderLimits } from "../limits.ts";
import { bytesOf } from "../packet/translate.ts";
import { endpointKey } from "../selection/associations.ts";
import { AgeList } from "./age-list.ts";
import { type Embryo, isClientOf } from "./embryo.ts";

type NurseryLimits = Pick<
  ForwarderLimits,
  | "embryoEvictableMs"
  | "embryoDisplaceableMs"
  | "embryoCountMaxPerService"
  | "embryoCountMaxPerPrefix"
  | "embryoCountMax"
>;

/** Above this many embryos questions of other members are not searched for. */
const MATCHED_COUNT_MAX = 4_096;

/**
 * How many of the oldest are searched for one of a prefix that is over its quota, or of an endpoint without
 * ports.
 */
const SCAN_COUNT_MAX = 256;

/** A service's embryos. */
class Crib {
  count = 0;
  /** Replicated ones that still wait for their COOKIE-ECHO. */
  publishedCount = 0;
  /**
   * Those that may be evicted, in the order of their age: neither in the table nor come back with a cookie.
   */
  readonly evictable = new AgeList<Embryo>();

  /** The oldest, when it had its time. */
  oldest(beforeMs: number): Embryo | undefined {
    const first = this.evictable.oldest;
    return first !== undefined && first.createdMs <= beforeMs ? first : undefined;
  }

  /** The oldest that is of some kind. */
  oldestOf(isOne: (embryo: Embryo) => boolean, beforeMs: number): Embryo | undefined {
    let scanned = 0;
    for (const embryo of this.evictable) {
      if (embryo.createdMs > beforeMs || ++scanned > SCAN_COUNT_MAX) return undefined;
      if (isOne(embryo)) return embryo;
    }
    return undefined;
  }
}

export class Nursery {
  readonly #limits: NurseryLimits;
  readonly #byKey = new Map<string, Embryo>();
  readonly #byService = new Map<ServiceId, Crib>();
  readonly #countByPrefix = new Map<string, number>();
  readonly #countByEndpoint = new Map<string, number>();
  /** Replicated ones that still wait for their COOKIE-ECHO. */
  readonly #publishedByPrefix = new Map<string, number>();
  /** Client tag and NAT port in one number: what an INIT-ACK brings. */
  readonly #byAnswer = new Map<number, Embryo>();
  readonly #byEndpointTag = new Map<Tag, Embryo>();

  constructor(limits: NurseryLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: string): Embryo | undefined {
    return this.#byKey.get(key);
  }

  /** The embryo that an INIT-ACK to this NAT port with this tag answers. */
  byAnswer(clientTag: Tag, natPort: number): Embryo | undefined {
    return this.#byAnswer.get(answerKey(clientTag, natPort));
  }

  /** The embryo whose INIT-ACK carried this tag; only where replication was put off. */
  byEndpointTag(tag: Tag): Embryo | undefined {
    return this.#byEndpointTag.get(tag);
  }

  /**
   * Embryos of an endpoint: many INITs at once must not all go to the one that had the fewest associations
   * before.
   */
  countOf(endpoint: Pick<Endpoint, "address" | "port">): number {
    return this.#countByEndpoint.size === 0 ? 0 : (this.#countByEndpoint.get(endpointKey(endpoint)) ?? 0);
  }

  values(): IterableIterator<Embryo> {
    return this.#byKey.values();
  }

  /**
   * Embryos that a question of another member is about. None while there are many: those are shared with
   * their cookie.
   */
  *matching(question: SessionQuestion): IterableIterator<Embryo> {
    if (this.#byKey.size > MATCHED_COUNT_MAX) return;
    for (const embryo of this.#byKey.values()) {
      const matches =
        question.kind === "natPort"
          ? embryo.natPort === question.natPort && embryo.endpoint.port === question.endpointPort
          : embryo.clientPort === question.clientPort &&
            embryo.entry.service.id === question.serviceId &&
            isClientOf(embryo, question.client);
      if (matches) yield embryo;
    }
  }

  /**
   * Whether there is room for one more of this service and source prefix; undefined: there is none. With
   * `evict` when that one goes first: it had its second, did not come back with a cookie, and is in nobody's
   * table. For an INIT that comes again a quarter of that is enough.
   */
  room(
    serviceId: ServiceId,
    prefix: string,
    nowMs: number,
    comesAgain: () => boolean,
  ): { readonly evict?: Embryo } | undefined {
    const { embryoEvictableMs, embryoDisplaceableMs } = this.#limits;
    const oldest = this.#oldestInTheWay(serviceId, prefix);
    if (oldest === undefined) return {};
    let evict = oldest(nowMs - embryoEvictableMs);
    if (evict === undefined && comesAgain()) evict = oldest(nowMs - embryoDisplaceableMs);
    return evict && { evict };
  }

  /** When a quota is used up: finds the oldest embryo that it counts and that is older than a time. */
  #oldestInTheWay(
    serviceId: ServiceId,
    prefix: string,
  ): ((beforeMs: number) => Embryo | undefined) | undefined {
    const { embryoCountMaxPerPrefix, embryoCountMaxPerService, embryoCountMax } = this.#limits;
    const crib = this.#byService.get(serviceId);
    if ((this.#countByPrefix.get(prefix) ?? 0) >= embryoCountMaxPerPrefix)
      return (beforeMs) => crib?.oldestOf((embryo) => embryo.prefix === prefix, beforeMs);
    if ((crib?.count ?? 0) >= embryoCountMaxPerService) return (beforeMs) => crib?.oldest(beforeMs);
    if (this.#byKey.size >= embryoCountMax) return (beforeMs) => this.#oldestOfAll(beforeMs);
    return undefined;
  }

  /** The oldest embryo of a service that may go, for its NAT port toward the endpoint. */
  evictableOf(serviceId: ServiceId, endpoint: Endpoint, nowMs: number): Embryo | undefined {
    const beforeMs = nowMs - this.#limits.embryoEvictableMs;
    return this.#byService.get(serviceId)?.oldestOf(({ endpoint: { address, port }, ownsPort }) => {
      return ownsPort && address === endpoint.address && port === endpoint.port;
    }, beforeMs);
  }

  add(embryo: Embryo): void {
    this.#byKey.set(embryo.key, embryo);
    const crib = this.#crib(embryo.entry.service.id);
    crib.count += 1;
    crib.evictable.add(embryo);
    this.#countByPrefix.set(embryo.prefix, (this.#countByPrefix.get(embryo.prefix) ?? 0) + 1);
    this.#countEndpoint(embryo.endpoint, 1);
    this.#byAnswer.set(answerKey(embryo.clientTag, embryo.natPort), embryo);
  }

  /** Another endpoint or NAT port was chosen: a late answer of the first finds nothing any more. */
  move(embryo: Embryo, place: Pick<Embryo, "endpoint" | "natPort" | "loan">): void {
    const { endpoint, natPort, loan } = place;
    this.#forgetAnswer(embryo);
    this.#countEndpoint(embryo.endpoint, -1);
    this.#countEndpoint(endpoint, 1);
    embryo.endpoint = endpoint;
    embryo.natPort = natPort;
    embryo.loan = loan;
    this.#byAnswer.set(answerKey(embryo.clientTag, natPort), embryo);
  }

  answered(embryo: Embryo, endpointTag: Tag): void {
    this.#byEndpointTag.set(endpointTag, embryo);
  }

  /** The table holds it now: it stays until its time is over. */
  published(embryo: Embryo): void {
    if (embryo.published) return;
    embryo.published = true;
    const crib = this.#crib(embryo.entry.service.id);
    crib.evictable.delete(embryo);
    if (!embryo.echoed) this.#countPublished(crib, embryo, 1);
  }

  /** Its cookie came back. */
  echoed(embryo: Embryo): void {
    if (embryo.echoed) return;
    embryo.echoed = true;
    const crib = this.#crib(embryo.entry.service.id);
    crib.evictable.delete(embryo);
    if (embryo.published) this.#countPublished(crib, embryo, -1);
  }

  /** Replicated ones of a service that still wait for their COOKIE-ECHO. */
  publishedCount(serviceId: ServiceId): number {
    return this.#byService.get(serviceId)?.publishedCount ?? 0;
  }

  /** … and of a source prefix. */
  publishedCountOfPrefix(prefix: string): number {
    return this.#publishedByPrefix.get(prefix) ?? 0;
  }

  remove(embryo: Embryo): void {
    if (!this.#byKey.delete(embryo.key)) return;
    const crib = this.#crib(embryo.entry.service.id);
    crib.count -= 1;
    crib.evictable.delete(embryo);
    if (embryo.published && !embryo.echoed) this.#countPublished(crib, embryo, -1);
    const count = (this.#countByPrefix.get(embryo.prefix) ?? 1) - 1;
    if (count === 0) this.#countByPrefix.delete(embryo.prefix);
    else this.#countByPrefix.set(embryo.prefix, count);
    this.#countEndpoint(embryo.endpoint, -1);
    this.#forgetAnswer(embryo);
    for (const tag of embryo.endpointTags) {
      if (this.#byEndpointTag.get(tag) === embryo) this.#byEndpointTag.delete(tag);
    }
  }

  #countEndpoint(endpoint: Endpoint, by: 1 | -1): void {
    const key = endpointKey(endpoint);
    const count = (this.#countByEndpoint.get(key) ?? 0) + by;
    if (count === 0) this.#countByEndpoint.delete(key);
    else this.#countByEndpoint.set(key, count);
  }

  #countPublished(crib: Crib, embryo: Embryo, by: 1 | -1): void {
    crib.publishedCount += by;
    const count = this.publishedCountOfPrefix(embryo.prefix) + by;
    if (count === 0) this.#publishedByPrefix.delete(embryo.prefix);
    else this.#publishedByPrefix.set(embryo.prefix, count);
  }

  #crib(serviceId: ServiceId): Crib {
    let crib = this.#byService.get(serviceId);
    if (crib === undefined) {
      crib = new Crib();
      this.#byService.set(serviceId, crib);
    }
    return crib;
  }

  #oldestOfAll(beforeMs: number): Embryo | undefined {
    let oldest: Embryo | undefined;
    for (const crib of this.#byService.values()) {
      const embryo = crib.oldest(beforeMs);
      if (embryo !== undefined && (oldest === undefined || embryo.createdMs < oldest.createdMs))
        oldest = embryo;
    }
    return oldest;
  }

  #forgetAnswer(embryo: Embryo): void {
    const answer = answerKey(embryo.clientTag, embryo.natPort);
    if (this.#byAnswer.get(answer) === embryo) this.#byAnswer.delete(answer);
  }
}

function answerKey(clientTag: Tag, natPort: number): number {
  return clientTag * 0x1_0000 + natPort;
}

/** What counts as one source: /24 of IPv4, /48 of IPv6. */
export function sourcePrefix(source: Address): string {
  if (familyOf(source) === 4) return source.slice(0, source.lastIndexOf("."));
  const bytes = bytesOf(source);
  return `6:${bytes[0]},${bytes[1]},${bytes[2]},${bytes[3]},${bytes[4]},${bytes[5]}`;
}

// All embryos of this member, with quotas: a flood of INITs, spoofed or not, must leave room for genuine clients and
// for everything that is established.
import {
  type Address,
  type Endpoint,
  familyOf,
  type ServiceId,
  type SessionId,
  type SessionQuestion,
  type Tag,
} from "@holdfast/model";
import type { ForwarderLimits } from "../limits.ts";
import { bytesOf } from "../packet/translate.ts";
import type { Embryo } from "./embryo.ts";

type NurseryLimits = Pick<
  ForwarderLimits,
  "embryoEvictableMs" | "embryoCountMaxPerService" | "embryoCountMaxPerPrefix" | "embryoCountMax"
>;

/** Above this many embryos questions of other members are not searched for. */
const MATCHED_COUNT_MAX = 4_096;

/** Embryos that share a quota. */
class Crib {
  count = 0;
  /** Those that may be evicted, in the order of their age: neither in the table nor come back with a cookie. */
  readonly evictable = new Map<SessionId, Embryo>();

  /** The oldest, when it had its time. */
  oldest(beforeMs: number): Embryo | undefined {
    const first = this.evictable.values().next().value;
    return first !== undefined && first.createdMs <= beforeMs ? first : undefined;
  }
}

export class Nursery {
  readonly #limits: NurseryLimits;
  readonly #byKey = new Map<SessionId, Embryo>();
  readonly #all = new Crib();
  readonly #byService = new Map<ServiceId, Crib>();
  readonly #byPrefix = new Map<string, Crib>();
  /** Client tag and NAT port in one number: what an INIT-ACK brings. */
  readonly #byAnswer = new Map<number, Embryo>();
  readonly #byEndpointTag = new Map<Tag, Embryo>();
  readonly #publishedByService = new Map<ServiceId, number>();

  constructor(limits: NurseryLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#byKey.size;
  }

  get(key: SessionId): Embryo | undefined {
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

  values(): IterableIterator<Embryo> {
    return this.#byKey.values();
  }

  /** Embryos that a question of another member is about. None while there are many: those are shared with their cookie. */
  *matching(question: SessionQuestion): IterableIterator<Embryo> {
    if (this.#byKey.size > MATCHED_COUNT_MAX) return;
    for (const embryo of this.#byKey.values()) {
      const matches =
        question.kind === "natPort"
          ? embryo.natPort === question.natPort && embryo.endpoint.port === question.endpointPort
          : embryo.clientPort === question.clientPort &&
            embryo.entry.service.id === question.serviceId &&
            (embryo.source === question.client || embryo.listed.includes(question.client));
      if (matches) yield embryo;
    }
  }

  /**
   * Whether there is room for one more of this service and source prefix; undefined: there is none. With `evict` when
   * that one goes first: it had its second, did not come back with a cookie, and is in nobody's table.
   */
  room(serviceId: ServiceId, prefix: string, nowMs: number): { readonly evict?: Embryo } | undefined {
    const full = this.#fullCrib(serviceId, prefix);
    if (full === undefined) return {};
    const evict = full.oldest(nowMs - this.#limits.embryoEvictableMs);
    return evict && { evict };
  }

  /** The oldest embryo of a service that may go, for its NAT port. */
  evictableOf(serviceId: ServiceId, nowMs: number): Embryo | undefined {
    return this.#byService.get(serviceId)?.oldest(nowMs - this.#limits.embryoEvictableMs);
  }

  add(embryo: Embryo): void {
    this.#byKey.set(embryo.key, embryo);
    for (const crib of [
      this.#all,
      cribOf(this.#byService, embryo.entry.service.id),
      cribOf(this.#byPrefix, embryo.prefix),
    ]) {
      crib.count += 1;
      crib.evictable.set(embryo.key, embryo);
    }
    this.#byAnswer.set(answerKey(embryo.clientTag, embryo.natPort), embryo);
  }

  /** Another endpoint or NAT port was chosen: a late answer of the first finds nothing any more. */
  move(embryo: Embryo, endpoint: Endpoint, natPort: number): void {
    this.#forgetAnswer(embryo);
    embryo.endpoint = endpoint;
    embryo.natPort = natPort;
    this.#byAnswer.set(answerKey(embryo.clientTag, natPort), embryo);
  }

  answered(embryo: Embryo, endpointTag: Tag): void {
    this.#byEndpointTag.set(endpointTag, embryo);
  }

  /** The table holds it now: it stays until its time is over. */
  published(embryo: Embryo): void {
    if (embryo.published) return;
    embryo.published = true;
    this.#keep(embryo);
    if (!embryo.echoed) this.#countPublished(embryo, 1);
  }

  /** Its cookie came back. */
  echoed(embryo: Embryo): void {
    if (embryo.echoed) return;
    embryo.echoed = true;
    this.#keep(embryo);
    if (embryo.published) this.#countPublished(embryo, -1);
  }

  /** Replicated ones of a service that still wait for their COOKIE-ECHO. */
  publishedCount(serviceId: ServiceId): number {
    return this.#publishedByService.get(serviceId) ?? 0;
  }

  remove(embryo: Embryo): void {
    if (!this.#byKey.delete(embryo.key)) return;
    this.#keep(embryo);
    this.#all.count -= 1;
    leave(this.#byService, embryo.entry.service.id);
    leave(this.#byPrefix, embryo.prefix);
    this.#forgetAnswer(embryo);
    if (embryo.published && !embryo.echoed) this.#countPublished(embryo, -1);
    for (const tag of embryo.endpointTags) {
      if (this.#byEndpointTag.get(tag) === embryo) this.#byEndpointTag.delete(tag);
    }
  }

  #fullCrib(serviceId: ServiceId, prefix: string): Crib | undefined {
    const ofPrefix = this.#byPrefix.get(prefix);
    if (ofPrefix !== undefined && ofPrefix.count >= this.#limits.embryoCountMaxPerPrefix) return ofPrefix;
    const ofService = this.#byService.get(serviceId);
    if (ofService !== undefined && ofService.count >= this.#limits.embryoCountMaxPerService) return ofService;
    return this.#all.count >= this.#limits.embryoCountMax ? this.#all : undefined;
  }

  /** Not evictable any more. */
  #keep(embryo: Embryo): void {
    this.#all.evictable.delete(embryo.key);
    this.#byService.get(embryo.entry.service.id)?.evictable.delete(embryo.key);
    this.#byPrefix.get(embryo.prefix)?.evictable.delete(embryo.key);
  }

  #countPublished(embryo: Embryo, by: number): void {
    const id = embryo.entry.service.id;
    this.#publishedByService.set(id, (this.#publishedByService.get(id) ?? 0) + by);
  }

  #forgetAnswer(embryo: Embryo): void {
    const answer = answerKey(embryo.clientTag, embryo.natPort);
    if (this.#byAnswer.get(answer) === embryo) this.#byAnswer.delete(answer);
  }
}

function answerKey(clientTag: Tag, natPort: number): number {
  return clientTag * 0x1_0000 + natPort;
}

function cribOf(cribs: Map<string, Crib>, key: string): Crib {
  let crib = cribs.get(key);
  if (crib === undefined) {
    crib = new Crib();
    cribs.set(key, crib);
  }
  return crib;
}

function leave(cribs: Map<string, Crib>, key: string): void {
  const crib = cribs.get(key);
  if (crib === undefined) return;
  crib.count -= 1;
  if (crib.count === 0) cribs.delete(key);
}

/** What counts as one source: /24 of IPv4, /48 of IPv6. */
export function sourcePrefix(source: Address): string {
  if (familyOf(source) === 4) return source.slice(0, source.lastIndexOf("."));
  const bytes = bytesOf(source);
  return `6:${bytes[0]},${bytes[1]},${bytes[2]},${bytes[3]},${bytes[4]},${bytes[5]}`;
}

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

/** How many of the oldest are looked at for one that may go. Echoed ones leave the front, so a few suffice. */
const EVICTION_SCAN_COUNT_MAX = 16;

/** Above this many embryos questions of other members are not searched for. */
const MATCHED_COUNT_MAX = 4_096;

export class Nursery {
  readonly #limits: NurseryLimits;
  readonly #byKey = new Map<SessionId, Embryo>();
  /** Insertion order is age. */
  readonly #byService = new Map<ServiceId, Map<SessionId, Embryo>>();
  readonly #byPrefix = new Map<string, Map<SessionId, Embryo>>();
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
   * Whether there is room for one more of this service and source prefix. "evict": when `oldest` goes first, which
   * had its second and did not come back with a cookie.
   */
  room(serviceId: ServiceId, prefix: string, nowMs: number): { evict?: Embryo } | undefined {
    const ofPrefix = this.#byPrefix.get(prefix);
    if (ofPrefix !== undefined && ofPrefix.size >= this.#limits.embryoCountMaxPerPrefix) {
      return this.#evictable(ofPrefix, nowMs);
    }
    const ofService = this.#byService.get(serviceId);
    if (ofService !== undefined && ofService.size >= this.#limits.embryoCountMaxPerService) {
      return this.#evictable(ofService, nowMs);
    }
    if (this.#byKey.size >= this.#limits.embryoCountMax) return this.#evictable(this.#byKey, nowMs);
    return {};
  }

  /** The oldest embryo of a service that may go, for its NAT port. */
  evictableOf(serviceId: ServiceId, nowMs: number): Embryo | undefined {
    const ofService = this.#byService.get(serviceId);
    return ofService && this.#evictable(ofService, nowMs)?.evict;
  }

  add(embryo: Embryo): void {
    this.#byKey.set(embryo.key, embryo);
    addTo(this.#byService, embryo.entry.service.id, embryo);
    addTo(this.#byPrefix, embryo.prefix, embryo);
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

  remove(embryo: Embryo): void {
    if (!this.#byKey.delete(embryo.key)) return;
    removeFrom(this.#byService, embryo.entry.service.id, embryo);
    removeFrom(this.#byPrefix, embryo.prefix, embryo);
    this.#forgetAnswer(embryo);
    if (embryo.published && !embryo.echoed) this.#countPublished(embryo, -1);
    for (const tag of embryo.endpointTags) {
      if (this.#byEndpointTag.get(tag) === embryo) this.#byEndpointTag.delete(tag);
    }
  }

  /** Replicated ones of a service that still wait for their COOKIE-ECHO. */
  publishedCount(serviceId: ServiceId): number {
    return this.#publishedByService.get(serviceId) ?? 0;
  }

  published(embryo: Embryo): void {
    if (embryo.published) return;
    embryo.published = true;
    if (!embryo.echoed) this.#countPublished(embryo, 1);
  }

  echoed(embryo: Embryo): void {
    if (embryo.echoed) return;
    embryo.echoed = true;
    if (embryo.published) this.#countPublished(embryo, -1);
  }

  #countPublished(embryo: Embryo, by: number): void {
    const id = embryo.entry.service.id;
    this.#publishedByService.set(id, (this.#publishedByService.get(id) ?? 0) + by);
  }

  #forgetAnswer(embryo: Embryo): void {
    const answer = answerKey(embryo.clientTag, embryo.natPort);
    if (this.#byAnswer.get(answer) === embryo) this.#byAnswer.delete(answer);
  }

  #evictable(embryos: Map<SessionId, Embryo>, nowMs: number): { evict: Embryo } | undefined {
    let scanned = 0;
    for (const embryo of embryos.values()) {
      if (nowMs - embryo.createdMs < this.#limits.embryoEvictableMs) return undefined;
      if (!embryo.echoed && !embryo.published) return { evict: embryo };
      if (++scanned === EVICTION_SCAN_COUNT_MAX) return undefined;
    }
    return undefined;
  }
}

function answerKey(clientTag: Tag, natPort: number): number {
  return clientTag * 0x1_0000 + natPort;
}

function addTo(index: Map<string, Map<SessionId, Embryo>>, key: string, embryo: Embryo): void {
  let set = index.get(key);
  if (set === undefined) {
    set = new Map();
    index.set(key, set);
  }
  set.set(embryo.key, embryo);
}

function removeFrom(index: Map<string, Map<SessionId, Embryo>>, key: string, embryo: Embryo): void {
  const set = index.get(key);
  if (set === undefined) return;
  set.delete(embryo.key);
  if (set.size === 0) index.delete(key);
}

/** What counts as one source: /24 of IPv4, /48 of IPv6. */
export function sourcePrefix(source: Address): string {
  if (familyOf(source) === 4) return source.slice(0, source.lastIndexOf("."));
  const bytes = bytesOf(source);
  return `6:${bytes[0]},${bytes[1]},${bytes[2]},${bytes[3]},${bytes[4]},${bytes[5]}`;
}

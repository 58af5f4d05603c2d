// All flows that this member knows, by client, by NAT port, by handle; and those that clients opened and
// nobody has answered yet, which have quotas: a flood of SYNs or datagrams leaves room for everybody else.
import {
  type Address,
  comparePlain,
  type PlainRecord,
  type Protocol,
  type SessionId,
  sourceOf,
} from "@holdfast/model";
import { AgeList } from "../../embryos/age-list.ts";
import type { ForwarderLimits } from "../../limits.ts";
import { isLivingFlow, type LocalFlow, placeKeyOf, STATELESS_HANDLE } from "./flow.ts";

/** How many of the oldest embryos are looked at for one that may go. */
const SCAN_COUNT_MAX = 256;

/** Of one service. */
interface Embryos {
  count: number;
  readonly byPrefix: Map<string, number>;
}

export class LocalFlows {
  readonly #limits: ForwarderLimits;
  readonly #byId = new Map<SessionId, LocalFlow>();
  readonly #byHandle = new Map<number, LocalFlow>();
  readonly #byClient = new Map<string, LocalFlow | LocalFlow[]>();
  readonly #byNatPort = new Map<string, LocalFlow | LocalFlow[]>();
  readonly #embryos = new AgeList<LocalFlow>();
  readonly #embryosOf = new Map<string, Embryos>();
  /** Flows that are over but for late packets, by endpoint: a newcomer may have their NAT port. */
  readonly #spent = new Map<string, Set<LocalFlow>>();
  embryoCount = 0;
  #nextHandle: number;

  constructor(limits: ForwarderLimits, firstHandle: number) {
    this.#limits = limits;
    this.#nextHandle = firstHandle >>> 0;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: SessionId): LocalFlow | undefined {
    return this.#byId.get(id);
  }

  byHandle(handle: number): LocalFlow | undefined {
    return this.#byHandle.get(handle);
  }

  values(): IterableIterator<LocalFlow> {
    return this.#byId.values();
  }

  byClient(serviceId: string, vip: Address, client: Address, clientPort: number): LocalFlow | undefined {
    return first(this.#byClient.get(`${serviceId}|${vip}|${client}|${clientPort}`));
  }

  /** `at`: where the endpoint sends to. */
  byNatPort(
    protocol: Protocol,
    endpoint: Address,
    port: number,
    natPort: number,
    at: Address,
  ): LocalFlow | undefined {
    const held = this.#byNatPort.get(`${protocol}|${endpoint}|${port}|${natPort}`);
    if (held === undefined) return undefined;
    const fits = ({ record }: LocalFlow) => sourceOf(record) === at;
    if (!Array.isArray(held)) return fits(held) ? held : undefined;
    const fitting = held.filter(fits);
    return fitting.length === 0 ? undefined : first(fitting);
  }

  /** All that have this NAT port toward the endpoint, from whatever address the endpoint is talked to. */
  allByNatPort(protocol: Protocol, endpoint: Address, port: number, natPort: number): readonly LocalFlow[] {
    const held = this.#byNatPort.get(`${protocol}|${endpoint}|${port}|${natPort}`);
    if (held === undefined) return [];
    return Array.isArray(held) ? held : [held];
  }

  /** Another living flow has its NAT port: two members gave it, each to one of its client's. */
  sharesPort(flow: LocalFlow): boolean {
    const held = this.#byNatPort.get(natPortKeyOf(flow.record));
    if (!Array.isArray(held)) return false;
    return held.some(
      (other) => other !== flow && other.record.source === flow.record.source && isLivingFlow(other),
    );
  }

  /** Another flow has the same keys in the fast path: whoever comes first has them. */
  isFirst(flow: LocalFlow): boolean {
    return first(this.#byClient.get(clientKeyOf(flow.record))) === flow;
  }

  freeHandle(): number {
    for (;;) {
      const handle = this.#nextHandle;
      this.#nextHandle = (this.#nextHandle + 1) >>> 0;
      if (handle !== 0 && handle !== STATELESS_HANDLE && !this.#byHandle.has(handle)) return handle;
    }
  }

  add(flow: LocalFlow): void {
    this.#byId.set(flow.record.id, flow);
    this.#byHandle.set(flow.handle, flow);
    addTo(this.#byClient, clientKeyOf(flow.record), flow);
    addTo(this.#byNatPort, natPortKeyOf(flow.record), flow);
  }

  delete(flow: LocalFlow): void {
    if (!this.#byId.delete(flow.record.id)) return;
    this.#byHandle.delete(flow.handle);
    removeFrom(this.#byClient, clientKeyOf(flow.record), flow);
    removeFrom(this.#byNatPort, natPortKeyOf(flow.record), flow);
    this.grown(flow);
    this.#spent.get(placeKeyOf(flow.record))?.delete(flow);
  }

  /** Whether there is room for an embryo; `evict` is called for an older one that makes some. */
  admits(serviceId: string, prefix: string, nowMs: number, evict: (flow: LocalFlow) => void): boolean {
    const limits = this.#limits;
    const of = this.#embryosOf.get(serviceId);
    if ((of?.byPrefix.get(prefix) ?? 0) >= limits.embryoCountMaxPerPrefix)
      return this.#evict((flow) => flow.quota?.prefix === prefix, nowMs, evict);
    if ((of?.count ?? 0) >= limits.embryoCountMaxPerService)
      return this.#evict((flow) => flow.record.serviceId === serviceId, nowMs, evict);
    if (this.embryoCount >= limits.embryoCountMax) return this.#evict(() => true, nowMs, evict);
    return true;
  }

  #evict(isOne: (flow: LocalFlow) => boolean, nowMs: number, evict: (flow: LocalFlow) => void): boolean {
    const flow = this.oldestEmbryo(isOne, nowMs);
    if (flow === undefined) return false;
    evict(flow);
    return true;
  }

  /** Of those that have had their time, and are among the oldest of all. */
  oldestEmbryo(isOne: (flow: LocalFlow) => boolean, nowMs: number): LocalFlow | undefined {
    let scanned = 0;
    for (const flow of this.#embryos) {
      if (nowMs - flow.bornMs < this.#limits.embryoEvictableMs || ++scanned > SCAN_COUNT_MAX)
        return undefined;
      if (isOne(flow)) return flow;
    }
    return undefined;
  }

  embryo(flow: LocalFlow, prefix: string): void {
    flow.quota = { prefix };
    this.#embryos.add(flow);
    this.#count(flow, prefix, 1);
  }

  /** The oldest first. */
  embryos(): Iterable<LocalFlow> {
    return this.#embryos;
  }

  /** It was answered, or is gone. */
  grown(flow: LocalFlow): void {
    const { quota } = flow;
    if (quota === undefined) return;
    flow.quota = undefined;
    this.#embryos.delete(flow);
    this.#count(flow, quota.prefix, -1);
  }

  #count({ record: { serviceId } }: LocalFlow, prefix: string, by: number): void {
    this.embryoCount += by;
    let of = this.#embryosOf.get(serviceId);
    if (of === undefined) {
      of = { count: 0, byPrefix: new Map() };
      this.#embryosOf.set(serviceId, of);
    }
    of.count += by;
    const count = (of.byPrefix.get(prefix) ?? 0) + by;
    if (count === 0) of.byPrefix.delete(prefix);
    else of.byPrefix.set(prefix, count);
    if (of.count === 0) this.#embryosOf.delete(serviceId);
  }

  /** It is over but for late packets, or goes on after all. */
  setSpent(flow: LocalFlow, isSpent: boolean): void {
    const key = placeKeyOf(flow.record);
    let spent = this.#spent.get(key);
    if (spent === undefined) {
      if (!isSpent) return;
      spent = new Set();
      this.#spent.set(key, spent);
    }
    if (isSpent) spent.add(flow);
    else spent.delete(flow);
  }

  /** The longest spent flow whose NAT port `isOwn`. */
  takeSpent(place: string, isOwn: (flow: LocalFlow) => boolean): LocalFlow | undefined {
    for (const flow of this.#spent.get(place) ?? []) if (isOwn(flow)) return flow;
    return undefined;
  }
}

function clientKeyOf({ serviceId, vip, client, clientPort }: PlainRecord): string {
  return `${serviceId}|${vip}|${client}|${clientPort}`;
}

function natPortKeyOf({ protocol, endpoint, endpointPort, natPort }: PlainRecord): string {
  return `${protocol}|${endpoint}|${endpointPort}|${natPort}`;
}

function first(held: LocalFlow | LocalFlow[] | undefined): LocalFlow | undefined {
  if (held === undefined || !Array.isArray(held)) return held;
  let best = held[0] as LocalFlow;
  for (const flow of held) if (comparePlain(flow.record, best.record) < 0) best = flow;
  return best;
}

function addTo(index: Map<string, LocalFlow | LocalFlow[]>, key: string, flow: LocalFlow): void {
  const held = index.get(key);
  if (held === undefined) index.set(key, flow);
  else index.set(key, Array.isArray(held) ? [...held, flow] : [held, flow]);
}

function removeFrom(index: Map<string, LocalFlow | LocalFlow[]>, key: string, flow: LocalFlow): void {
  const held = index.get(key);
  const left = Array.isArray(held) ? held.filter((other) => other !== flow) : held === flow ? [] : [held];
  if (left.length === 0) index.delete(key);
  else index.set(key, left.length === 1 ? (left[0] as LocalFlow) : (left as LocalFlow[]));
}

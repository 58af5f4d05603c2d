// What the API and the metrics know about all sessions: order for pages, counts kept as the table changes (a count
// never walks 100,000 records), and the history of each session's phases as this member saw it.
import {
  type Clock,
  currentCandidate,
  effectivePhase,
  type Phase,
  type ServiceId,
  type SessionChange,
  type SessionId,
  type SessionRecord,
  type SessionTable,
} from "@holdfast/model";
import { endpointKey } from "../services/specification.ts";
import { SessionOrder } from "./order.ts";

/** Changes of phase kept per session; the first and the latest stay. */
export const HISTORY_COUNT_MAX = 16;

export interface HistoryEntry {
  readonly wallMs: number;
  readonly phase: Phase;
  readonly origin: "local" | "remote";
  readonly note?: string;
}

/** Told about every session that ends, and every one that begins. */
export interface CatalogueListener {
  ended?(record: SessionRecord): void;
  began?(record: SessionRecord): void;
}

interface Known {
  phase: Phase;
  service: ServiceId;
  endpoint: string | undefined;
  readonly history: HistoryEntry[];
}

export class SessionCatalogue {
  readonly order = new SessionOrder();
  readonly #known = new Map<SessionId, Known>();
  readonly #byPhase = new Map<Phase, number>();
  readonly #byService = new Map<ServiceId, number>();
  readonly #byEndpoint = new Map<string, number>();
  readonly #clock: Clock;
  readonly #listener: CatalogueListener;
  readonly #unsubscribe: () => void;

  constructor(table: SessionTable, clock: Clock, listener: CatalogueListener = {}) {
    this.#clock = clock;
    this.#listener = listener;
    for (const record of table.values()) this.#change({ previous: undefined, record, origin: "remote" });
    this.#unsubscribe = table.subscribe((change) => this.#change(change));
  }

  close(): void {
    this.#unsubscribe();
  }

  countOfPhase(phase: Phase): number {
    return this.#byPhase.get(phase) ?? 0;
  }

  /** Living sessions of a service. */
  countOfService(id: ServiceId): number {
    return this.#byService.get(id) ?? 0;
  }

  /** Living sessions that an endpoint carries for a service. */
  countOfEndpoint(service: ServiceId, endpoint: string): number {
    return this.#byEndpoint.get(`${service} ${endpoint}`) ?? 0;
  }

  historyOf(id: SessionId): readonly HistoryEntry[] {
    return this.#known.get(id)?.history ?? [];
  }

  #change({ record, previous, origin }: SessionChange): void {
    const id = (record ?? previous)?.id;
    if (id === undefined) return;
    const known = this.#known.get(id);
    if (record === undefined) {
      if (known === undefined) return;
      this.#count(known, -1);
      this.#known.delete(id);
      this.order.remove(id);
      return;
    }
    const phase = effectivePhase(record);
    const candidate = currentCandidate(record);
    const endpoint =
      candidate === undefined ? undefined : endpointKey(candidate.endpoint, candidate.endpointPort);
    if (known === undefined) {
      const made: Known = {
        phase,
        service: record.serviceId,
        endpoint,
        history: [this.#entry(record, phase, origin)],
      };
      this.#known.set(id, made);
      this.order.add(id);
      this.#count(made, 1);
      this.#listener.began?.(record);
      return;
    }
    if (known.phase === phase && known.endpoint === endpoint) return;
    const before = known.phase;
    this.#count(known, -1);
    known.phase = phase;
    known.endpoint = endpoint;
    this.#count(known, 1);
    if (before === phase) return;
    // The first entry says how it began: the second gives way.
    if (known.history.length >= HISTORY_COUNT_MAX) known.history.splice(1, 1);
    known.history.push(this.#entry(record, phase, origin));
    if (phase === "closed") this.#listener.ended?.(record);
  }

  #entry(record: SessionRecord, phase: Phase, origin: "local" | "remote"): HistoryEntry {
    const note = phase === "closed" ? record.end?.cause : undefined;
    return { wallMs: this.#clock.wallMs(), phase, origin, ...(note !== undefined && { note }) };
  }

  #count(known: Known, by: 1 | -1): void {
    add(this.#byPhase, known.phase, by);
    if (known.phase === "closed") return;
    add(this.#byService, known.service, by);
    if (known.endpoint !== undefined) add(this.#byEndpoint, `${known.service} ${known.endpoint}`, by);
  }
}

function add<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

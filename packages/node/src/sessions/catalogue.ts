// What the API and the metrics know about all sessions: order for pages, counts kept as the table changes (a count
// never walks 100,000 records), and the history of each session's phases as this member saw it.
import {
  type Clock,
  currentCandidate,
  type EndCause,
  effectivePhase,
  type Origin,
  PHASES,
  type Phase,
  type ServiceId,
  type SessionChange,
  type SessionId,
  type SessionRecord,
  type SessionTable,
} from "@holdfast/model";
import type { LivingSessions } from "../services/registry.ts";
import { endpointKey } from "../services/specification.ts";
import { SessionOrder } from "./order.ts";

/** Changes of phase kept per session; the first and the latest stay. */
export const HISTORY_COUNT_MAX = 16;

/** Texts of endpoints kept to be shared; beyond, all are forgotten and made again. */
const ENDPOINT_TEXT_COUNT_MAX = 4096;

export interface HistoryEntry {
  readonly wallMs: number;
  readonly phase: Phase;
  readonly origin: "local" | "remote";
  readonly note?: string;
}

/** Told about every session that ends, and every one that begins. */
export interface CatalogueListener {
  ended?(record: SessionRecord, origin: Origin): void;
  began?(record: SessionRecord): void;
}

interface Known {
  phase: Phase;
  service: ServiceId;
  endpoint: string | undefined;
  /** Two numbers an entry: wall ms, and what happened (`codeOf`). As objects histories would be half of the catalogue. */
  history: readonly number[];
}

const NUMBERS_PER_ENTRY = 2;
/** What an entry's code is made of: phase, origin, and 1 + the cause of an end, or 0. */
const PHASE_COUNT = 16;
const ORIGINS = ["local", "remote"] as const;
const CAUSES = Object.keys({
  shutdown: 0,
  abortByClient: 0,
  abortByEndpoint: 0,
  operator: 0,
  endpointDown: 0,
  endpointRemoved: 0,
  superseded: 0,
  idle: 0,
  handshakeTimeout: 0,
  closed: 0,
  resetByClient: 0,
  resetByEndpoint: 0,
} satisfies Record<EndCause, 0>);

function codeOf(record: SessionRecord, phase: Phase, origin: Origin): number {
  const cause = phase === "closed" && record.end !== undefined ? 1 + CAUSES.indexOf(record.end.cause) : 0;
  return PHASES.indexOf(phase) + PHASE_COUNT * (ORIGINS.indexOf(origin) + ORIGINS.length * cause);
}

function entryOf(wallMs: number, code: number): HistoryEntry {
  const rest = Math.floor(code / PHASE_COUNT);
  const note = CAUSES[Math.floor(rest / ORIGINS.length) - 1];
  return {
    wallMs,
    phase: PHASES[code % PHASE_COUNT] as Phase,
    origin: ORIGINS[rest % ORIGINS.length] as Origin,
    ...(note !== undefined && { note }),
  };
}

export class SessionCatalogue {
  readonly order = new SessionOrder();
  readonly #known = new Map<SessionId, Known>();
  readonly #byPhase = new Map<Phase, number>();
  readonly #byService = new Map<ServiceId, number>();
  readonly #byEndpoint = new Map<string, number>();
  readonly #endpointTexts = new Map<string, string>();
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

  /** As it was when it changed last. */
  knownOf(id: SessionId): { readonly phase: Phase; readonly service: ServiceId } | undefined {
    return this.#known.get(id);
  }

  historyOf(id: SessionId): readonly HistoryEntry[] {
    const history = this.#known.get(id)?.history ?? [];
    const entries: HistoryEntry[] = [];
    for (let at = 0; at < history.length; at += NUMBERS_PER_ENTRY)
      entries.push(entryOf(history[at] as number, history[at + 1] as number));
    return entries;
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
    const endpoint = candidate && this.#endpointText(endpointKey(candidate.endpoint, candidate.endpointPort));
    if (known === undefined) {
      const made: Known = {
        phase,
        service: record.serviceId,
        endpoint,
        history: [this.#clock.wallMs(), codeOf(record, phase, origin)],
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
    const { history } = known;
    const isFull = history.length >= HISTORY_COUNT_MAX * NUMBERS_PER_ENTRY;
    known.history = [
      ...(isFull
        ? [...history.slice(0, NUMBERS_PER_ENTRY), ...history.slice(2 * NUMBERS_PER_ENTRY)]
        : history),
      this.#clock.wallMs(),
      codeOf(record, phase, origin),
    ];
    if (phase === "closed") this.#listener.ended?.(record, origin);
  }

  /** One text for each endpoint, not one for each session. */
  #endpointText(text: string): string {
    const known = this.#endpointTexts.get(text);
    if (known !== undefined) return known;
    if (this.#endpointTexts.size >= ENDPOINT_TEXT_COUNT_MAX) this.#endpointTexts.clear();
    this.#endpointTexts.set(text, text);
    return text;
  }

  #count(known: Known, by: 1 | -1): void {
    add(this.#byPhase, known.phase, by);
    if (known.phase === "closed") return;
    add(this.#byService, known.service, by);
    if (known.endpoint !== undefined) add(this.#byEndpoint, `${known.service} ${known.endpoint}`, by);
  }
}

/** What the rules of services ask about sessions. */
export function livingSessions(catalogue: SessionCatalogue, isComplete: () => boolean): LivingSessions {
  return {
    ofService: (id) => catalogue.countOfService(id),
    ofEndpoint: (id, endpoint) => catalogue.countOfEndpoint(id, endpoint),
    isComplete,
  };
}

function add<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

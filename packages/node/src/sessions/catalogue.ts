// What the API and the metrics know about all sessions: order for pages, counts kept as the table changes (a
// count never walks 100,000 records), and the history of each session's phases as this member saw it.
import {
  type AnyKind,
  type Clock,
  type EndCause,
  type Origin,
  type Protocol,
  protocolOfId,
  type ServiceId,
  type SessionChange,
  type SessionEnvelope,
  type SessionId,
} from "@holdfast/model";
import type { LivingSessions } from "../services/registry.ts";
import { endpointKey } from "../services/specification.ts";
import { SessionOrder } from "./order.ts";
import type { AnyTable } from "./tables.ts";

/** Changes of phase kept per session; the first and the latest stay. */
export const HISTORY_COUNT_MAX = 16;

/** Texts of endpoints kept to be shared; beyond, all are forgotten and made again. */
const ENDPOINT_TEXT_COUNT_MAX = 4096;

export interface HistoryEntry {
  readonly wallMs: number;
  /** One of its kind's. */
  readonly phase: string;
  readonly origin: "local" | "remote";
  readonly note?: string;
}

/** Told about every session that ends, and every one that begins. */
export interface CatalogueListener {
  ended?(record: SessionEnvelope, origin: Origin): void;
  began?(record: SessionEnvelope): void;
}

/** What is known of a session without looking into it. */
export interface KnownFacts {
  readonly phase: string;
  readonly service: ServiceId;
}

interface Known {
  phase: string;
  service: ServiceId;
  endpoint: string | undefined;
  /**
   * Two numbers an entry: wall ms, and what happened (`codeOf`). As objects histories would be half of the
   * catalogue.
   */
  history: readonly number[];
}

const NUMBERS_PER_ENTRY = 2;
/** What an entry's code is made of: kind, phase, origin, and 1 + the cause of an end, or 0. */
const KIND_COUNT = 16;
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

/** The kinds of this member's tables; a code names one by its place here. */
class HistoryCodes {
  readonly #kinds: readonly AnyKind[];

  constructor(kinds: readonly AnyKind[]) {
    this.#kinds = kinds;
  }

  codeOf(kind: AnyKind, { end }: SessionEnvelope, phase: string, origin: Origin): number {
    const cause = phase === "closed" && end !== undefined ? 1 + CAUSES.indexOf(end.cause) : 0;
    const rest = ORIGINS.indexOf(origin) + ORIGINS.length * cause;
    return this.#kinds.indexOf(kind) + KIND_COUNT * (kind.phases.indexOf(phase) + PHASE_COUNT * rest);
  }

  entryOf(wallMs: number, code: number): HistoryEntry {
    const phase = Math.floor(code / KIND_COUNT);
    const rest = Math.floor(phase / PHASE_COUNT);
    const note = CAUSES[Math.floor(rest / ORIGINS.length) - 1];
    return {
      wallMs,
      phase: this.#kinds[code % KIND_COUNT]?.phases[phase % PHASE_COUNT] as string,
      origin: ORIGINS[rest % ORIGINS.length] as Origin,
      ...(note !== undefined && { note }),
    };
  }
}

export class SessionCatalogue {
  readonly order = new SessionOrder();
  readonly #known = new Map<SessionId, Known>();
  readonly #byPhase = new Map<Protocol | undefined, Map<string, number>>();
  readonly #byService = new Map<ServiceId, number>();
  readonly #byEndpoint = new Map<string, number>();
  readonly #endpointTexts = new Map<string, string>();
  readonly #clock: Clock;
  readonly #listener: CatalogueListener;
  readonly #codes: HistoryCodes;
  readonly #unsubscribe: (() => void)[] = [];

  constructor(tables: readonly AnyTable[], clock: Clock, listener: CatalogueListener = {}) {
    this.#clock = clock;
    this.#listener = listener;
    this.#codes = new HistoryCodes(tables.map(({ kind }) => kind));
    for (const table of tables) {
      const { kind } = table;
      for (const record of table.values())
        this.#change(kind, { previous: undefined, record, origin: "remote" });
      this.#unsubscribe.push(table.subscribe((change) => this.#change(kind, change)));
    }
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
  }

  /** Protocols have phases of one name. */
  countOfPhase(protocol: Protocol, phase: string): number {
    return this.#byPhase.get(protocol)?.get(phase) ?? 0;
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
  knownOf(id: SessionId): KnownFacts | undefined {
    return this.#known.get(id);
  }

  /** All of them, in no order; what changes meanwhile may or may not be among them. */
  facts(): Iterable<readonly [SessionId, KnownFacts]> {
    return this.#known;
  }

  historyOf(id: SessionId): readonly HistoryEntry[] {
    const history = this.#known.get(id)?.history ?? [];
    const entries: HistoryEntry[] = [];
    for (let at = 0; at < history.length; at += NUMBERS_PER_ENTRY)
      entries.push(this.#codes.entryOf(history[at] as number, history[at + 1] as number));
    return entries;
  }

  #change(kind: AnyKind, { record, previous, origin }: SessionChange<SessionEnvelope>): void {
    const id = (record ?? previous)?.id;
    if (id === undefined) return;
    const known = this.#known.get(id);
    if (record === undefined) {
      if (known !== undefined) this.#forget(id, known);
      return;
    }
    const phase = kind.phaseOf(record);
    const port = kind.currentPort(record);
    const endpoint = port && this.#endpointText(endpointKey(port.endpoint, port.endpointPort));
    if (known === undefined) {
      const made: Known = {
        phase,
        service: record.serviceId,
        endpoint,
        history: [this.#clock.wallMs(), this.#codes.codeOf(kind, record, phase, origin)],
      };
      this.#known.set(id, made);
      this.order.add(id);
      this.#count(made, 1);
      this.#listener.began?.(record);
      return;
    }
    if (known.phase === phase && known.endpoint === endpoint && known.service === record.serviceId) return;
    const before = known.phase;
    this.#count(known, -1);
    known.phase = phase;
    known.service = record.serviceId;
    known.endpoint = endpoint;
    this.#count(known, 1);
    if (before === phase) return;
    known.history = longer(
      known.history,
      this.#clock.wallMs(),
      this.#codes.codeOf(kind, record, phase, origin),
    );
    if (phase === "closed") this.#listener.ended?.(record, origin);
  }

  #forget(id: SessionId, known: Known): void {
    this.#count(known, -1);
    this.#known.delete(id);
    this.order.remove(id);
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
    // Every session would take room for what its service says.
    const protocol = protocolOfId(known.service);
    const phases = this.#byPhase.get(protocol) ?? new Map<string, number>();
    this.#byPhase.set(protocol, phases);
    add(phases, known.phase, by);
    if (known.phase === "closed") return;
    add(this.#byService, known.service, by);
    if (known.endpoint !== undefined) add(this.#byEndpoint, `${known.service} ${known.endpoint}`, by);
  }
}

/** With one entry more; the first says how it began: when it is full the second gives way. */
function longer(history: readonly number[], wallMs: number, code: number): readonly number[] {
  const isFull = history.length >= HISTORY_COUNT_MAX * NUMBERS_PER_ENTRY;
  const kept = isFull
    ? [...history.slice(0, NUMBERS_PER_ENTRY), ...history.slice(2 * NUMBERS_PER_ENTRY)]
    : history;
  return [...kept, wallMs, code];
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
